"""The problems that are timed, and the network that each comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from plugins.kernel import Option, Problem

DTYPES = ("fp32", "fp16", "bf16")

# Ten shapes of the LayerNorm write-ups that the versions are compared on.
_WRITE_UPS = (
    (12288, 768),
    (6304, 768),
    (197, 768),
    (100352, 64),
    (6272, 320),
    (1024, 256),
    (850, 256),
    (8192, 1024),
    (16384, 4096),
    (8192, 8192),
)
# rows = batch x tokens; the UniFormer stages are 56, 28, 14 and 7 squared tokens.
_NETWORKS = {
    (128, 768): "BERT-base, batch 1 x 128",
    (384, 768): "BERT-base, batch 1 x 384",
    (3072, 768): "BERT-base, batch 8 x 384",
    (1576, 768): "ViT-B/16, batch 8 x 197",
    (25088, 64): "UniFormer-S stage 1, batch 8",
    (6272, 128): "UniFormer-S stage 2, batch 8",
    (392, 512): "UniFormer-S stage 4, batch 8",
    (2000, 256): "conformer 256, batch 8 x 250",
    (300, 256): "DAB-DETR decoder, 300 queries",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One timed problem and where it comes from."""

    problem: Problem
    where: str


def rows(family: str) -> list[Row]:
    """The problems timed for a family; a family without an entry is timed on what it builds."""
    return list(_ROWS[family]()) if family in _ROWS else []


def _problems(dims: Mapping[str, int], where: str, *options: Mapping[str, Option]) -> Iterator[Row]:
    for dtype in DTYPES:
        for chosen in options or ({},):
            yield Row(Problem(dims, dtype, chosen), where)


def _layernorm() -> Iterator[Row]:
    shapes = {**dict.fromkeys(_WRITE_UPS, "LayerNorm baseline"), **_NETWORKS}
    for (rows_, cols), where in shapes.items():
        yield from _problems({"rows": rows_, "cols": cols}, where, {"affine": True})


def _skip_layernorm() -> Iterator[Row]:
    for (rows_, cols), where in {
        (128, 768): "BERT-base, batch 1 x 128",
        (384, 768): "BERT-base, batch 1 x 384",
        (3072, 768): "BERT-base, batch 8 x 384",
        (12288, 768): "BERT-base, batch 32 x 384",
        (197, 768): "ViT-B/16, batch 1 x 197",
        (6304, 768): "ViT-B/16, batch 32 x 197",
        (2000, 256): "conformer 256, batch 8 x 250",
        (850, 256): "DAB-DETR encoder, 25 x 34",
    }.items():
        dims = {"rows": rows_, "cols": cols}
        yield from _problems(dims, where, {"keep": False}, {"keep": True})


def _gelu() -> Iterator[Row]:
    for count, where in {
        197 * 3072: "ViT-B/16, batch 1",
        6304 * 3072: "ViT-B/16, batch 32",
        384 * 3072: "BERT-base, batch 1 x 384",
        3072 * 3072: "BERT-base, batch 8 x 384",
        1568 * 1280: "UniFormer-S stage 3, batch 8",
    }.items():
        yield from _problems({"count": count}, where, {"form": "erf"}, {"form": "tanh"})


def _swish() -> Iterator[Row]:
    for count, where in {
        250 * 1024: "conformer 256, batch 1 x 250",
        2000 * 1024: "conformer 256, batch 8 x 250",
        16000 * 1024: "conformer 256, batch 64 x 250",
    }.items():
        yield from _problems({"count": count}, where)


def _softmax() -> Iterator[Row]:
    for (batch, rows_, cols, masked), where in {
        (1, 12 * 128, 128, True): "BERT-base, batch 1 x 128",
        (1, 12 * 384, 384, True): "BERT-base, batch 1 x 384",
        (8, 12 * 384, 384, True): "BERT-base, batch 8 x 384",
        (1, 12 * 197, 197, False): "ViT-B/16, batch 1",
        (32, 12 * 197, 197, False): "ViT-B/16, batch 32",
        (8, 5 * 196, 196, False): "UniFormer-S stage 3, batch 8",
        (8, 4 * 250, 250, True): "conformer 256, batch 8 x 250",
        (1, 8 * 850, 850, True): "DAB-DETR encoder, 25 x 34",
    }.items():
        yield from _problems({"batch": batch, "rows": rows_, "cols": cols}, where, {"masked": masked})


def _attention() -> Iterator[Row]:
    for batch, seq, masked, where in (
        (1, 197, False, "ViT-B/16, batch 1"),
        (8, 197, False, "ViT-B/16, batch 8"),
        (32, 197, False, "ViT-B/16, batch 32"),
        (1, 128, True, "BERT-base, batch 1 x 128"),
        (1, 384, True, "BERT-base, batch 1 x 384"),
        (8, 384, True, "BERT-base, batch 8 x 384"),
        (8, 128, True, "BERT-base, batch 8 x 128"),
        (1, 384, False, "sequence 384"),
        (8, 384, False, "sequence 384"),
        (32, 384, False, "sequence 384"),
        (8, 512, False, "sequence 512"),
        (1, 1024, False, "sequence 1,024"),
        (8, 1024, False, "sequence 1,024"),
    ):
        for dtype in ("fp16", "bf16"):
            dims = {"batch": batch, "heads": 12, "seq": seq, "width": 64}
            yield Row(Problem(dims, dtype, {"masked": masked}), where)


_ROWS = {
    "layernorm": _layernorm,
    "skip_layernorm": _skip_layernorm,
    "gelu": _gelu,
    "swish": _swish,
    "softmax": _softmax,
    "attention": _attention,
}


_PEERS = {"attention": ("sdpa-flash", "sdpa-cudnn", "sdpa-efficient")}


def contenders(family: str, versions: Sequence[str]) -> list[str]:
    """Names that may take part: the copy, the versions, and what `peers/<family>.py` offers on a GPU."""
    return ["copy", *versions, *_PEERS.get(family, ("eager", "compile", "triton"))]
