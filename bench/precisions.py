"""Every precision as the user writes it.

`fp16`; `int8_entropy~op:Softmax~/blocks.0/*` with nodes kept out of it; `int8_entropy+fp16` with the rest in fp16.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import onnx

from common.discover import Declared, discover
from common.errors import UserError, unknown
from variants.calibration import Ranges
from variants.keep import Keep, named, resolve
from variants.precision import NONE, Precision

KEEP, THEN = "~", "+"


def names() -> list[str]:
    """The precisions without what may be said of them."""
    return list(discover("variants.precisions", Precision))


def base_name(text: str) -> str:
    """The precision whose ranges `text` is calibrated with: what is kept out changes none of them."""
    return text.split(THEN)[0].split(KEEP)[0]


def find(text: str) -> Declared[Precision]:
    """The precision written `text`.

    `NAME~PATTERN~PATTERN` keeps the nodes that a pattern names (variants/keep.py) as they were; `FIRST+SECOND` puts what
    FIRST left into SECOND. Raises UserError with what there is.
    """
    parts = [_one(part, text) for part in text.split(THEN)]
    return reduce(_then, parts)


def _one(part: str, text: str) -> Declared[Precision]:
    name, *patterns = part.split(KEEP)
    declared = discover("variants.precisions", Precision).get(name)
    if declared is None:
        raise unknown("precision", name, names())
    if not all(patterns):
        raise UserError(f"precision '{text}': an empty pattern after '{KEEP}'; name a node, a glob over names, or op:TYPE")
    return _keeping(declared, patterns) if patterns else declared


def _keeping(declared: Declared[Precision], patterns: Sequence[str]) -> Declared[Precision]:
    precision = declared.value

    def apply(model: onnx.ModelProto, ranges: Ranges, more: Keep = NONE) -> onnx.ModelProto:
        own = named(model)
        return precision.apply(own, ranges, more | resolve(own, patterns))

    text = KEEP.join((declared.name, *patterns))
    return replace(declared, name=text, digest=_digest(declared.digest, *patterns), value=replace(precision, apply=apply))


def _then(first: Declared[Precision], second: Declared[Precision]) -> Declared[Precision]:
    """`carries` is asked for the first one's element type: the second's is what was left."""
    one, other = first.value, second.value
    if other.calibrate is not None:
        raise UserError(f"precision '{first.name}{THEN}{second.name}': {second.name} is calibrated, so it comes first")

    def apply(model: onnx.ModelProto, ranges: Ranges, keep: Keep = NONE) -> onnx.ModelProto:
        return other.apply(one.apply(model, ranges, keep), (), keep)

    both = replace(
        one,
        apply=apply,
        min_snr_db=min(one.min_snr_db, other.min_snr_db),
        min_agreement=min(one.min_agreement, other.min_agreement),
        max_drop=max(one.max_drop, other.max_drop),
        why=f"{one.why}; then {other.why}",
    )
    return Declared(f"{first.name}{THEN}{second.name}", f"{first.label} Then {second.label}", _digest(first.digest, second.digest), both)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
