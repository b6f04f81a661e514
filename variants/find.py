"""Every model as the user writes it: `vit_digits`, `vit`, `vit:base`, and `bert:base:opset17:sequence384:static` for another export."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from common.discover import Declared, discover
from common.errors import UserError, unknown
from variants.own.opened import opened
from variants.shapes import resized_inputs, timed
from variants.variant import BATCH, Family, Model, Variant

PACKAGE = "variants.models"
OPSETS = range(13, 21)
"""Q/DQ per channel needs 13; torch's TorchScript exporter writes up to 20."""


def names() -> list[str]:
    """All that `find` takes, without what can be said about the export: a family once for each size."""
    return [name for stem, declared in discover(PACKAGE, Model).items() for name in _names(stem, declared.value)]


def find(name: str) -> Declared[Variant]:
    """The variant called `name`, under its full name: `vit` is found as `vit:tiny`.

    Words after the name say how it is exported and timed: `opset17` (13 to 20), `sequence384` (a dynamic dimension, inside
    its range), `static` (no dynamic dimension). Raises UserError with what there is.
    """
    if own := opened(name):
        return own
    stem, *words = name.split(":")
    declared = discover(PACKAGE, Model).get(stem)
    if declared is None:
        raise unknown("variant", name, names())
    value, full = _made(declared, name, words)
    for word in words:
        value, full = _exported(value, name, word), f"{full}:{word}"
    return Declared(full, declared.label, declared.digest, value)


def _made(declared: Declared[Model], name: str, words: list[str]) -> tuple[Variant, str]:
    """The variant and its name; takes the size off `words`."""
    model = declared.value
    if isinstance(model, Variant):
        return model, declared.name
    assert isinstance(model, Family), f"{declared.name} is neither a Variant nor a Family"
    size = words.pop(0) if words and not _speaks_of_export(words[0]) else next(iter(model.sizes))
    if size not in model.sizes:
        raise UserError(f"variant '{name}': {declared.name} has no size '{size}'; there are: {', '.join(model.sizes)}")
    return model.sizes[size](), f"{declared.name}:{size}"


def _speaks_of_export(word: str) -> bool:
    return word == "static" or re.fullmatch(r"[a-z_]+\d+", word) is not None


def _exported(variant: Variant, name: str, word: str) -> Variant:
    if word == "static":
        return replace(variant, dynamic=False)
    kind, number = _split(word)
    if kind == "opset" and number in OPSETS:
        return replace(variant, opset=number)
    if kind in variant.ranges and kind != BATCH:
        return _at_size(variant, name, kind, number)
    known = [f"opset{OPSETS[0]} to opset{OPSETS[-1]}", *(f"{dim}{low} to {dim}{high}" for dim, (low, _, high) in variant.ranges.items())]
    raise UserError(f"variant '{name}': '{word}' is none of {', '.join(known)}, static; nothing else may follow")


def _split(word: str) -> tuple[str, int]:
    found = re.fullmatch(r"([a-z_]+)(\d{1,9})", word)
    return (found[1], int(found[2])) if found else ("", 0)


def _at_size(variant: Variant, name: str, dimension: str, size: int) -> Variant:
    low, _, high = variant.ranges[dimension]
    if not low <= size <= high:
        raise UserError(f"variant '{name}': {dimension} {size} is outside its range of {low} to {high}; choose one inside it")
    sized = replace(variant, ranges={**variant.ranges, dimension: (low, size, high)})
    sizes = timed(sized, 1)
    return replace(sized, inputs=lambda split: resized_inputs(variant, sizes, split))


def _names(stem: str, model: Model) -> Sequence[str]:
    return [f"{stem}:{size}" for size in model.sizes] if isinstance(model, Family) else [stem]
