"""Every precision as the user writes it.

`fp16`; `int8_percentile:99.9` with an option; `int8_entropy~op:Softmax~/blocks.0/*` with nodes kept out of it;
`int8_entropy+fp16` with the rest in fp16.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce

import onnx

from bench.backend import Backend
from common.discover import Declared, discover
from common.errors import UserError, unknown
from variants.lowering.calibration import Ranges
from variants.lowering.groups import NAMES as GROUPS
from variants.lowering.keep import GROUP, NONE, Keep, named, resolve
from variants.precision import Precision

KEEP, THEN, OPTION = "~", "+", ":"
HIGH = (onnx.TensorProto.FLOAT,)
"""Element types of the precisions that lower nothing: there is nothing to keep out of them."""


def names() -> list[str]:
    """The precisions without what may be said of them."""
    return list(discover("variants.precisions", Precision))


def base_name(text: str) -> str:
    """The precision, with its options, whose ranges `text` is calibrated with: what is kept out changes none of them."""
    return text.split(THEN)[0].split(KEEP)[0]


def keeping(text: str, patterns: Sequence[str]) -> str:
    """The precision `text` with `patterns` kept out of each of its parts as well; one that lowers nothing stays as it is."""
    lowered = find(text).value.dtype not in HIGH
    return THEN.join(KEEP.join((part, *patterns)) for part in text.split(THEN)) if lowered and patterns else text


def refusal(text: str, backend: Backend, compute_capability: str) -> str:
    """Why this backend does not build what the precision makes, or asks for, here; "" where it does."""
    value = find(text).value
    if value.domain and (why := backend.why_no_operators(value.domain)):
        return why
    if value.flags and (why := backend.why_no_flags(value.flags)):
        return why
    for dtype in (value.dtype, *value.types):
        if why := backend.why_no_type(dtype):
            return why
    has = backend.built_for(compute_capability)
    if value.needs and has and _number(has) < _number(value.needs):
        return f"{text} needs compute capability {value.needs} or later, not {has}: raise compute_capability in the preset"
    return ""


def _number(capability: str) -> tuple[int, ...]:
    return tuple(int(part) for part in (capability or "0").split("."))


def find(text: str) -> Declared[Precision]:
    """The precision written `text`.

    `NAME:OPTION` is one of its kinds; `NAME~PATTERN~PATTERN` keeps the nodes that a pattern names (variants/lowering/keep.py) as
    they were; `FIRST+SECOND` puts what FIRST left into SECOND. Raises UserError with what there is.
    """
    parts = [_part(part, text) for part in text.split(THEN)]
    return parts[0].declared if len(parts) == 1 and not parts[0].patterns else _joined(parts)


@dataclass(frozen=True, slots=True)
class _Part:
    """One precision of a text and the patterns kept out of it."""

    declared: Declared[Precision]
    patterns: tuple[str, ...]

    @property
    def name(self) -> str:
        return KEEP.join((self.declared.name, *self.patterns))


def _part(part: str, text: str) -> _Part:
    written, *patterns = part.split(KEEP)
    name, *options = written.split(OPTION)
    declared = discover("variants.precisions", Precision).get(name)
    if declared is None:
        raise unknown("precision", name, names())
    if not all(patterns):
        raise UserError(f"precision '{text}': an empty pattern after '{KEEP}'; name a node, a glob over names, op:TYPE or group:NAME")
    for pattern in patterns:
        if pattern.startswith(GROUP) and pattern.removeprefix(GROUP) not in GROUPS:
            raise unknown("group", pattern.removeprefix(GROUP), GROUPS)
    return _Part(reduce(_chosen, options, declared), tuple(patterns))


def _chosen(declared: Declared[Precision], option: str) -> Declared[Precision]:
    value = declared.value.at(option)
    if value is None:
        has = f"there are: {declared.value.options}" if declared.value.options else f"it has none; write {declared.name}"
        raise UserError(f"precision '{declared.name}{OPTION}{option}': {declared.name} has no option '{option}'; {has}")
    return replace(declared, name=f"{declared.name}{OPTION}{option}", digest=_digest(declared.digest, option), value=value)


def _joined(parts: Sequence[_Part]) -> Declared[Precision]:
    """`carries` is asked for the first one's element type: the others get what was left.

    Patterns are resolved in the graph as it came: a group is no longer what it was with Q/DQ inside.
    """
    values = [part.declared.value for part in parts]
    for part in parts[1:]:
        if part.declared.value.calibrate is not None:
            text = THEN.join(part.name for part in parts)
            raise UserError(f"precision '{text}': {part.declared.name} is calibrated, so it comes first")

    def apply(model: onnx.ModelProto, ranges: Ranges, keep: Keep = NONE) -> onnx.ModelProto:
        own = named(model)
        kept = [keep | resolve(own, part.patterns) for part in parts]
        for value, held in zip(values, kept, strict=True):
            own = value.apply(own, ranges, held)
            ranges = ()
        return own

    both = replace(
        values[0],
        apply=apply,
        min_snr_db=min(value.min_snr_db for value in values),
        min_agreement=min(value.min_agreement for value in values),
        max_drop=max(value.max_drop for value in values),
        why="; then ".join(value.why for value in values),
        needs=max((value.needs for value in values), key=_number),
        flags=tuple(dict.fromkeys(flag for value in values for flag in value.flags)),
        types=tuple(dict.fromkeys(value.dtype for value in values[1:])),
        domain=next((value.domain for value in values if value.domain), ""),
    )
    name, label = THEN.join(part.name for part in parts), " Then ".join(part.declared.label for part in parts)
    return Declared(name, label, _digest(*(text for part in parts for text in (part.declared.digest, *part.patterns, THEN))), both)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
