"""WeNet's attention decoder: 6 blocks of width 256 that score ten hypotheses of 64 tokens."""

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

RANGES = {"time": (1, 74, 299)}
"""States of the encoder: those of 7, 300 and 1,200 frames."""
COUNTS: dict[Split, int] = {"calibration": 4, "test": 8}
"""Utterances: one of them has 10.7 MB of log-probabilities at full size."""


def module(size: str) -> torch.nn.Module:
    """See variants/networks/wenet.py, WenetDecoder."""
    return _wenet.decoder(size)


def restore(size: str, path: Path) -> torch.nn.Module:
    """With the weights of a checkpoint, WeNet's final.pt among them."""
    return _wenet.restored(_wenet.decoder(size), path)


def inputs(size: str, split: Split) -> Tensors:
    """States and hypotheses that the encoder of the same size and CTC beam search make of synthesised speech."""
    return _wenet.hypotheses(size, split, COUNTS[split])


def at(size: str, sizes: Sizes) -> Tensors:
    """`time` states a row, of different lengths: the inputs to calibrate on, then those to test with."""
    both = inputs(size, "calibration"), inputs(size, "test")
    rows = np.arange(sizes[BATCH]) % sum(COUNTS.values())
    lengths = _wenet.lengths_up_to(sizes["time"], sizes[BATCH], 1)
    picked = {name: np.concatenate([given[name] for given in both])[rows] for name in both[0]}
    return picked | {"encoder_out": _wenet.stretched(picked["encoder_out"], sizes["time"]), "encoder_out_lens": lengths}


def agreement(outputs: Tensors, reference: Tensors) -> float:
    """Share of the pairs of an utterance's hypotheses that both put in the same order."""
    return transcripts.rank_agreement(outputs["score"], reference["score"])


def variant(size: str) -> Variant:
    """One size."""
    return Variant(
        module=partial(module, size),
        inputs=partial(inputs, size),
        outputs=("decoder_out", "score", "best_index"),
        metric="order of hypotheses (pairs alike)",
        agreement=agreement,
        score=None,
        files=_wenet.FILES,
        axes={"encoder_out": {1: "time"}},
        ranges=RANGES,
        check_shapes=({BATCH: 1, "time": 23}, {BATCH: 2, "time": 74}, {BATCH: 3, "time": 41}),
        at=partial(at, size),
        distributions=("torch", "numpy"),
        restore=partial(restore, size),
    )


wenet_decoder = Family({size: partial(variant, size) for size in ("tiny", "full")})
