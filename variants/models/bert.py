"""BERT (arXiv 1810.04805) of the transformers library filling masks, seeded: tiny and base; base as the course has it, too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from variants import networks
from variants.variant import BATCH, Array, Family, Sizes, Split, Tensors, Variant, topk_agreement

if TYPE_CHECKING:
    from torch import nn

SEED = 181004805
SCORE_GAIN = 2.0
"""Attention scores differ by about 4: with less, each row attends to all alike and the mask would hardly matter."""
CALIBRATION_ROWS, TEST_ROWS = 8, 8
MASK_TOKEN, FIRST_WORD = 103, 999
"""[MASK], and where words begin, in the vocabulary of bert-base-uncased."""
MASK_EVERY = 7
"""One token in seven is masked, as in BERT's training: position % 7 == 3."""
NETWORK = Path(networks.__file__).parent / "pretrained.py"
SPARE = ("bert.pooler.", "cls.seq_relationship.")
"""Of the next-sentence task, which published checkpoints hold as well."""


@dataclass(frozen=True, slots=True)
class Size:
    """Sizes in the paper's terms; `mask` when sequences are padded and the batch is free, else batch 1 and no padding."""

    width: int
    depth: int
    heads: int
    vocabulary: int
    positions: int
    best: int
    mask: bool = True

    @property
    def inputs(self) -> tuple[str, ...]:
        """In the order that the network takes them."""
        return ("input_ids", "attention_mask") if self.mask else ("input_ids",)


def _config(size: Size) -> Any:
    from transformers import BertConfig

    return BertConfig(
        vocab_size=size.vocabulary,
        hidden_size=size.width,
        num_hidden_layers=size.depth,
        num_attention_heads=size.heads,
        intermediate_size=4 * size.width,
        max_position_embeddings=size.positions,
    )


def _network(size: Size, checkpoint: Path | None = None) -> nn.Module:
    """Token ids int64 [n, sequence], and the mask alike (1 reads, 0 is padding) -> logits float32 [n, sequence, vocabulary]."""
    from transformers import BertForMaskedLM

    from variants.networks.pretrained import Positional, restored, seeded

    gains = {"self.query": SCORE_GAIN, "self.key": SCORE_GAIN}
    if checkpoint is None:
        model = seeded(BertForMaskedLM, _config(size), SEED, gains)
    else:
        model = restored(BertForMaskedLM, _config(size), checkpoint, SPARE)
    return Positional(model, size.inputs, "logits").eval()


def _at(size: Size, sizes: Sizes, seed: int = 3) -> Tensors:
    """Ids drawn from the words of the vocabulary, one in seven masked; where there is a mask, rows end anywhere in their second half."""
    rows, length = sizes[BATCH], sizes["sequence"]
    draw = np.random.default_rng([SEED, seed, rows, length])
    first = min(FIRST_WORD, size.vocabulary // 2)
    ids = draw.integers(first, size.vocabulary, (rows, length))
    ids[:, np.arange(length) % MASK_EVERY == MASK_EVERY // 2] = MASK_TOKEN
    if not size.mask:
        return {"input_ids": ids}
    lengths = draw.integers((length + 1) // 2, length + 1, rows)
    mask = (np.arange(length) < lengths[:, None]).astype(np.int64)
    return {"input_ids": ids * mask, "attention_mask": mask}


def _inputs(size: Size, split: Split) -> Tensors:
    calibration = split == "calibration"
    rows = CALIBRATION_ROWS if calibration else TEST_ROWS
    return _at(size, {BATCH: rows, "sequence": size.best}, 1 if calibration else 2)


def masked(logits: Array) -> Array:
    """The logits at masked tokens, padding or not: [n, sequence, vocabulary] -> [n, masked, vocabulary]."""
    return logits[:, np.arange(logits.shape[1]) % MASK_EVERY == MASK_EVERY // 2]


def agreement(outputs: Tensors, reference: Tensors) -> float:
    """Share of masked tokens whose best word in the reference is among the best five here."""
    return topk_agreement({"logits": masked(outputs["logits"])}, {"logits": masked(reference["logits"])})


def _variant(size: Size) -> Variant:
    shortest, longest = MASK_EVERY, size.positions
    batch = 3 if size.mask else 1
    lengths = (shortest, size.best, size.best // 2 + 1)
    return Variant(
        module=partial(_network, size),
        inputs=partial(_inputs, size),
        outputs=("logits",),
        metric="fill-mask, reference's word in the top-5 (seeded weights)",
        agreement=agreement,
        score=None,
        files=(NETWORK,),
        axes={name: {1: "sequence"} for name in (*size.inputs, "logits")},
        ranges={"sequence": (shortest, size.best, longest)},
        check_shapes=tuple({BATCH: 1 + number % batch, "sequence": length} for number, length in enumerate(lengths)),
        at=partial(_at, size),
        only_batch=None if size.mask else 1,
        distributions=("transformers",),
        restore=partial(_network, size),
    )


BASE = Size(width=768, depth=12, heads=12, vocabulary=30522, positions=512, best=128)

SIZES: Mapping[str, Callable[[], Variant]] = {
    "tiny": lambda: _variant(Size(width=64, depth=3, heads=2, vocabulary=2000, positions=128, best=32)),
    "base": lambda: _variant(BASE),
    "course": lambda: _variant(Size(BASE.width, BASE.depth, BASE.heads, BASE.vocabulary, BASE.positions, BASE.best, mask=False)),
}

bert = Family(SIZES)
