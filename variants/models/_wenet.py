"""What the two halves of WeNet share: sizes, seeded weights, and the way from speech-like signals to hypotheses."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from variants import checkpoint, networks, transcripts
from variants.data import speech
from variants.variant import Array, Split, Tensors

if TYPE_CHECKING:
    from variants.networks.wenet import WenetConfig, WenetDecoder, WenetEncoder

FOLDER = Path(networks.__file__).parent
FILES = (
    *(FOLDER / name for name in ("wenet.py", "wenet_layers.py", "wenet_seed.py")),
    Path(speech.__file__),
    Path(transcripts.__file__),
    FOLDER.parent / "seeded.py",
    Path(__file__),
)
LONGEST = 3.015
"""Seconds: 300 frames, of which the encoder makes 74 states."""
UTTERANCES = {"calibration": 8, "test": 16}
SPEECH_SEED = {"calibration": 1, "test": 2}
WEIGHTS_SEED = 3
SIZES = ("tiny", "full", "full_key", "full_transformer")
TOKENS = 64
"""Of a hypothesis with its start, its end and its padding."""


def config(size: str) -> WenetConfig:
    """`full_key` is the conformer whose positions are the key's alone, as in WeNet's released models (2021 and 2022)."""
    from variants.networks.wenet import WenetConfig

    if size == "tiny":
        return WenetConfig(width=64, hidden=128, blocks=2, vocabulary=200, positions=512, decoder_blocks=2)
    if size == "full_key":
        return WenetConfig(position="key")
    if size == "full_transformer":
        return WenetConfig(block="transformer", position="absolute")
    return WenetConfig()


def utterances(split: Split) -> speech.Utterances:
    """8 utterances to calibrate on, 16 others to test with."""
    return speech.load(SPEECH_SEED[split], UTTERANCES[split], LONGEST)


def encoder(size: str) -> WenetEncoder:
    """Seeded, fitted to the first calibration utterances, in evaluation mode."""
    import torch

    from variants.networks import wenet_seed
    from variants.networks.wenet import WenetEncoder

    model = WenetEncoder(config(size))
    wenet_seed.seed(model, config(size).blocks, WEIGHTS_SEED)
    heard = utterances("calibration")
    wenet_seed.settle(model, torch.from_numpy(heard.features[:4]), torch.from_numpy(heard.lengths[:4]), WEIGHTS_SEED)
    return model.eval()


def decoder(size: str) -> WenetDecoder:
    """Seeded, in evaluation mode."""
    from variants.networks import wenet_seed
    from variants.networks.wenet import WenetDecoder

    model = WenetDecoder(config(size))
    wenet_seed.seed(model, config(size).decoder_blocks, WEIGHTS_SEED)
    return model.eval()


def restored(model: WenetEncoder | WenetDecoder, path: Path) -> WenetEncoder | WenetDecoder:
    """`model` with the weights of a checkpoint of its own, or of WeNet's own whole model (final.pt), whose names it has.

    Left out are the other half, the decoder from right to left, and a layer that WeNet keeps but does not use.
    """
    halves = tuple(f"{name}." for name, _ in model.named_children())

    def named(name: str) -> str:
        name = name.replace("decoder.left_decoder.", "decoder.", 1)
        spare = "concat_linear" in name or name.startswith("decoder.right_decoder.")
        return name if name.startswith(halves) and not spare else ""

    checkpoint.load_into(model, path, named)
    return model.eval()


@cache
def hypotheses(size: str, split: Split, count: int) -> Tensors:
    """What the encoder of this size and CTC beam search make of the first `count` utterances: the decoder's inputs."""
    import torch

    heard, sizes = utterances(split), config(size)
    given = (torch.from_numpy(heard.features[:count]), torch.from_numpy(heard.lengths[:count]))
    with torch.no_grad():
        states, lengths, _, best, tokens = (tensor.numpy() for tensor in encoder(size)(*given))
    padded = np.full((count, sizes.beam, TOKENS), sizes.eos, np.int64)
    spoken = np.zeros((count, sizes.beam), np.int32)
    score = np.zeros((count, sizes.beam), np.float32)
    for row, length in enumerate(lengths):
        found = transcripts.beam_search(best[row, :length], tokens[row, :length], sizes.beam)
        for place in range(sizes.beam):
            prefix, score[row, place] = found[min(place, len(found) - 1)]
            prefix = prefix[: TOKENS - 2]
            padded[row, place, 1 : 1 + len(prefix)] = prefix
            spoken[row, place] = 1 + len(prefix)
    return {
        "encoder_out": states,
        "encoder_out_lens": lengths,
        "hyps_pad_sos_eos": padded,
        "hyps_lens_sos": spoken,
        "ctc_score": score,
    }


def lengths_up_to(longest: int, count: int, least: int) -> Array:
    """int32 [count], from `longest` down to two fifths of it and no less than `least`: what a batch of different lengths has."""
    return np.linspace(longest, max(least, longest * 2 // 5), count).astype(np.int32)


def stretched(array: Array, size: int) -> Array:
    """[n, time, ...] with its time cut or repeated to `size`."""
    taken: Array = np.take(array, np.arange(size) % array.shape[1], axis=1)
    return taken
