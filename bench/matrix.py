"""Which cases exist, in which order, and why one is left out."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import TypeVar

import msgspec

from bench.backend import Backend
from bench.passes import expand, find, pipelines, refusal
from bench.precisions import find as find_precision
from bench.precisions import keeping
from bench.precisions import refusal as precision_refusal
from common.discover import discover
from common.errors import UserError, unknown
from reports.case import API, ONNX, Case
from variants.api_network import why_not as why_not_api
from variants.checkpoint import belongs
from variants.checkpoint import files as checkpoint_files
from variants.find import find as find_variant

PRESETS = Path(__file__).parent / "presets.toml"
AXES = ("variants", "sources", "passes", "precisions", "batches", "backends")
BASELINE_PRECISION = "fp32"
T = TypeVar("T")


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Leaves out the cells that match every axis it names; `why` is shown."""

    why: str
    variants: tuple[str, ...] = ()
    passes: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    batches: tuple[int, ...] = ()
    backends: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()

    def matches(self, case: Case) -> bool:
        """Whether every named axis holds the case's value."""
        value = {"variants": case.variant, "passes": case.pipeline, "precisions": case.precision, "backends": case.backend}
        named = [(getattr(self, axis), got) for axis, got in (value | {"sources": case.source}).items()]
        return all(not wanted or got in wanted for wanted, got in named) and (not self.batches or case.batch in self.batches)

    def names(self, axes: Iterable[str]) -> bool:
        """Whether the rule speaks of any of these axes."""
        return any(getattr(self, axis) for axis in axes)


class Preset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Axes and limits of one preset; `cap_s` ends a measurement, `build_limit_s` a build, in seconds.

    `checkpoints` (variant -> path) are weights in place of the variants' own; `keep` are patterns of nodes
    (variants/lowering/keep.py) that every lowered precision leaves as they are.
    """

    why: str
    variants: tuple[str, ...]
    passes: tuple[str, ...]
    precisions: tuple[str, ...]
    batches: tuple[int, ...]
    backends: tuple[str, ...]
    sources: tuple[str, ...] = (ONNX,)
    leave_out: tuple[Rule, ...] = ()
    cap_s: float = 2.0
    threads: int = 1
    compute_capability: str = "8.9"
    build_limit_s: float = 300.0
    keep: tuple[str, ...] = ()
    checkpoints: dict[str, str] = msgspec.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Planned:
    """A cell of the matrix; `left_out` says why it will not run, `unavailable` why its backend cannot run it here."""

    case: Case
    left_out: str = ""
    unavailable: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """A preset with the axes that the user gave instead; `given` names those."""

    preset: Preset
    given: tuple[str, ...]


def presets(path: Path = PRESETS) -> Mapping[str, Preset]:
    """The presets by name. Raises UserError naming the file and the field that is wrong."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text()), dict[str, Preset], strict=True)
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise UserError(f"{path}: {error}; mend the preset") from error


def choose(
    preset: str, given: Mapping[str, str | None], threads: int | None = None, checkpoints: Sequence[str] = (), keep: str | None = None
) -> Choice:
    """The preset with the comma lists of `given` (axis -> text), `threads` and `checkpoints` ("NAME=PATH") in place of its own.

    `keep` is a comma list of patterns in place of the preset's: each becomes part of every precision that lowers anything.

    Raises UserError with the near match and the list for anything unknown.
    """
    known = presets()
    if preset not in known:
        raise unknown("preset", preset, known)
    named = {axis: _comma_list(axis, text) for axis, text in given.items() if text is not None}
    replaced: dict[str, tuple[str, ...] | tuple[int, ...]] = {axis: values for axis, values in named.items() if axis != "batches"}
    if "batches" in named:
        replaced["batches"] = tuple(_batch(value) for value in named["batches"])
    if threads is not None and not 1 <= threads <= 1024:
        raise UserError(f"--threads: {threads} is not from 1 to 1024")
    chosen = msgspec.structs.replace(known[preset], **replaced, threads=threads or known[preset].threads)
    chosen = msgspec.structs.replace(chosen, passes=tuple(written for text in chosen.passes for written in pipelines(text)))
    _check_names(chosen)
    kept = chosen.keep if keep is None else _comma_list("keep", keep)
    precisions = tuple(keeping(text, kept) for text in chosen.precisions)
    variants = tuple(find_variant(name).name for name in chosen.variants)
    own = _checkpoints(variants, [f"{name}={path}" for name, path in chosen.checkpoints.items()] + list(checkpoints))
    chosen = msgspec.structs.replace(chosen, variants=variants, checkpoints=own, precisions=precisions)
    return Choice(chosen, tuple(named))


def plan(choice: Choice) -> Iterator[Planned]:
    """Every cell, duplicates once, the baseline of each group first: by variant, backend, batch, then passes and precisions as given."""
    preset = choice.preset
    rules = [rule for rule in preset.leave_out if not rule.names(choice.given)]
    reasons = {name: discover("bench.backends", Backend)[name].value.unavailable() or "" for name in _once(preset.backends)}
    refused = {
        (passes, name): refusal(split_pipeline(passes), discover("bench.backends", Backend)[name].value)
        for passes in _once(preset.passes)
        for name in _once(preset.backends)
    }
    lacking = {
        (precision, name): precision_refusal(precision, discover("bench.backends", Backend)[name].value, preset.compute_capability)
        for precision in _once(preset.precisions)
        for name in _once(preset.backends)
    }
    for variant in _once(preset.variants):
        model = find_variant(variant).value
        for backend in _once(preset.backends):
            for batch in _once(preset.batches):
                for source, passes in product(_once(preset.sources), _once(preset.passes)):
                    for precision in _once(preset.precisions):
                        case = Case(variant, split_pipeline(passes), precision, batch, backend, source)
                        why = next((rule.why for rule in rules if rule.matches(case)), "") or why_not_from(case)
                        cannot = reasons[backend] or refused[passes, backend] or lacking[precision, backend]
                        yield Planned(case, why, cannot or model.why_not(batch))


def baseline_of(case: Case) -> Case:
    """The case that takes turns with it: the raw export in fp32 on the same backend and batch."""
    return Case(case.variant, (), BASELINE_PRECISION, case.batch, case.backend)


def why_not_from(case: Case) -> str:
    """Why this case has no network from its source; "" when it has. ONNX gives every case one."""
    if case.source == ONNX:
        return ""
    backend = discover("bench.backends", Backend)[case.backend].value
    return backend.why_no_network_api() or why_not_api(case.variant, case.passes, case.precision)


def split_pipeline(text: str) -> tuple[str, ...]:
    """ "fold+fuse_layernorm" -> ("fold", "fuse_layernorm"); "none" -> ()."""
    return () if text == "none" else tuple(text.split("+"))


def _check_names(preset: Preset) -> None:
    for kind, values, known in (
        ("source", preset.sources, (ONNX, API)),
        ("backend", preset.backends, discover("bench.backends", Backend)),
    ):
        for value in values:
            if value not in known:
                raise unknown(kind, value, known)
    for name in preset.precisions:
        find_precision(name)
    for name in preset.variants:
        find_variant(name)
    for pipeline in preset.passes:
        for name in expand(split_pipeline(pipeline)):
            find(name)
    for batch in preset.batches:
        _batch(str(batch))


def _checkpoints(variants: Sequence[str], given: Sequence[str]) -> dict[str, str]:
    """By the full name of the variant, as the user writes it without how it is exported."""
    found = {}
    for text in given:
        name, equals, path = text.partition("=")
        if not equals or not path:
            raise UserError(f"--checkpoint: '{text}' is not NAME=PATH, such as bert:base=checkpoints/bert")
        declared = find_variant(name.strip())
        full = declared.name
        if declared.value.ready is not None:
            raise UserError(f"--checkpoint: {full} is an ONNX file, which holds its weights; leave --checkpoint out")
        if not any(belongs(variant, full) for variant in variants):
            raise UserError(f"--checkpoint: {full} is not in this run, which has {', '.join(variants)}; add it to --variants")
        checkpoint_files(Path(path))
        found[full] = path
    return found


def _comma_list(axis: str, text: str) -> tuple[str, ...]:
    values = tuple(part.strip() for part in text.split(",") if part.strip())
    if not values:
        raise UserError(f"--{axis}: nothing given; write a comma list, or leave the option out")
    return values


def _batch(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65_536:
        raise UserError(f"--batches: '{text}' is not a whole number from 1 to 65536; write a comma list such as 1,8,32")
    return int(text)


@cache
def _once(values: tuple[T, ...]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(values))
