"""WeNet's speech encoder: 12 conformer or transformer blocks of width 256 with CTC output, on synthesised speech."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from variants import transcripts
from variants.models import _wenet
from variants.variant import BATCH, Family, Sizes, Split, Tensors, Variant

if TYPE_CHECKING:
    import torch

RANGES = {"frames": (7, 300, 1200)}
"""Seven frames make one state; 1,200 are the longest utterance that the AISHELL recipe trains on."""
SHORTEST = RANGES["frames"][0]


def module(size: str) -> torch.nn.Module:
    """Features float32 [n, frames, 80] and int32 lengths [n] -> states, lengths, log-probabilities, the ten best and their tokens."""
    return _wenet.encoder(size)


def restore(size: str, path: Path) -> torch.nn.Module:
    """With the weights of a checkpoint, WeNet's final.pt among them."""
    return _wenet.restored(_wenet.encoder(size), path)


def inputs(split: Split) -> Tensors:
    """Log-mel features of synthesised utterances of 1 to 3 s, padded with zeros, and their lengths in frames."""
    heard = _wenet.utterances(split)
    return {"speech": heard.features, "speech_lengths": heard.lengths}


def at(sizes: Sizes) -> Tensors:
    """A batch of different lengths, the first as long as all frames: the utterances to calibrate on, then those to test with."""
    rows, frames = np.arange(sizes[BATCH]), sizes["frames"]
    speech = np.concatenate([inputs("calibration")["speech"], inputs("test")["speech"]])
    lengths = _wenet.lengths_up_to(frames, sizes[BATCH], SHORTEST)
    features = _wenet.stretched(speech[rows % len(speech)], frames)
    return {"speech": features * (np.arange(frames) < lengths[:, None])[:, :, None], "speech_lengths": lengths}


def transcribed(outputs: Tensors) -> list[list[int]]:
    """The tokens of CTC greedy search, by utterance."""
    pairs = zip(outputs["ctc_log_probs"], outputs["encoder_out_lens"], strict=True)
    return [transcripts.greedy(log_probs, int(length)) for log_probs, length in pairs]


def agreement(outputs: Tensors, reference: Tensors) -> float:
    """1 - edits / tokens between both transcripts of all utterances."""
    return transcripts.token_agreement(transcribed(outputs), transcribed(reference))


def variant(size: str) -> Variant:
    """One size; `axes` name the time axis of the outputs, which follows from the frames."""
    time = {1: "time"}
    return Variant(
        module=partial(module, size),
        inputs=inputs,
        outputs=("encoder_out", "encoder_out_lens", "ctc_log_probs", "beam_log_probs", "beam_log_probs_idx"),
        metric="token agreement (CTC greedy search)",
        agreement=agreement,
        score=None,
        files=_wenet.FILES,
        axes={"speech": {1: "frames"}} | dict.fromkeys(("encoder_out", "ctc_log_probs", "beam_log_probs", "beam_log_probs_idx"), time),
        ranges=RANGES,
        check_shapes=({BATCH: 1, "frames": 67}, {BATCH: 3, "frames": 128}, {BATCH: 2, "frames": 301}),
        at=at,
        distributions=("torch", "numpy"),
        restore=partial(restore, size),
    )


wenet_encoder = Family({size: partial(variant, size) for size in _wenet.SIZES})
