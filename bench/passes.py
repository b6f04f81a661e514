"""Every graph pass as the user writes it: `fold`, `pad_channels:16`, `layernorm_plugin:v5_hopper`, and `all` of them."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Sequence
from dataclasses import replace

from bench.backend import Backend
from common.discover import Declared, discover
from common.errors import UserError, unknown
from plugins.discovery import ROOT, versions
from plugins.nvrtc import source_digest
from variants.graph_pass import FittedPass, GraphPass, OptionPass, Setting
from variants.plugin_pass import PluginPass

ALL, WITHOUT, WITH, ORDER, REVERSED = "all", "-", ".", "@", "reversed"
EACH = "each"


def names() -> list[str]:
    """All that `find` takes: a pass with a choice once for each option, one that places a kernel for each of its `.cu` files."""
    return [name for stem, declared in discover("variants.passes", GraphPass).items() for name in _names(stem, declared.value)]


def routine() -> tuple[str, ...]:
    """The passes of `all`, in their order."""
    passes = discover("variants.passes", GraphPass)
    return tuple(sorted((name for name, declared in passes.items() if declared.value.routine), key=_place))


def expand(pipeline: Sequence[str]) -> tuple[str, ...]:
    """The single passes of a pipeline: `all` stands for the routine ones, `all-NAME` for those but this one.

    `all.NAME` has another one among them where its stage has it, `all+NAME` behind them all. `all@reversed` has them in
    reverse order, `all@7` shuffled by seed 7: order matters, so other orders can be tried.
    """
    return tuple(name for word in pipeline for name in _expanded(word))


def pipelines(text: str) -> tuple[str, ...]:
    """What one entry of the passes axis stands for: `each` for every routine pass alone, `all-each` for `all` without each in turn."""
    if text == EACH:
        return routine()
    return tuple(f"{ALL}{WITHOUT}{name}" for name in routine()) if text == f"{ALL}{WITHOUT}{EACH}" else (text,)


def find(name: str) -> Declared[GraphPass]:
    """The pass called `name`; raises UserError with what there is.

    Where it places a kernel, its digest covers the kernel's source: an engine is built again when that changes.
    """
    stem, colon, option = name.partition(":")
    declared = discover("variants.passes", GraphPass).get(stem)
    if declared is None:
        raise unknown("pass", name, [*names(), ALL, "none"])
    graph_pass = declared.value
    if isinstance(graph_pass, PluginPass):
        return _placing(declared, graph_pass, option)
    if not colon:
        return declared
    if not isinstance(graph_pass, OptionPass):
        raise UserError(f"pass '{name}': {stem} has no versions; write {stem}")
    if option not in graph_pass.options:
        raise UserError(f"pass '{name}': {stem} has no option '{option}'; there are: {', '.join(graph_pass.options)}")
    return replace(declared, name=name, digest=_digest(declared.digest, option), value=graph_pass.at(option))


def fitted(declared: Declared[GraphPass], setting: Setting) -> Declared[GraphPass]:
    """The pass as it is for a case; what it knows of the case is part of its digest."""
    if not isinstance(declared.value, FittedPass):
        return declared
    digest = _digest(declared.digest, repr(sorted(setting.sizes.items())), repr(sorted(setting.ranges.items())), *setting.outputs)
    return replace(declared, digest=digest, value=declared.value.fitted(setting))


def kernels(pipeline: Sequence[str]) -> list[Declared[GraphPass]]:
    """Those passes of a pipeline that place a kernel."""
    passes = discover("variants.passes", GraphPass)
    return [find(name) for name in expand(pipeline) if isinstance(passes[name.partition(":")[0]].value, PluginPass)]


def refusal(pipeline: Sequence[str], backend: Backend) -> str:
    """Why this backend does not build what the pipeline makes; "" where it does."""
    domains = dict.fromkeys(find(name).value.domain for name in expand(pipeline))
    return next((why for domain in domains if domain and (why := backend.why_no_operators(domain))), "")


def _placing(declared: Declared[GraphPass], graph_pass: PluginPass, version: str) -> Declared[GraphPass]:
    family, stem = graph_pass.family, declared.name
    if version not in versions(family):
        name = f"{stem}:{version}" if version else stem
        wrong = f"no version '{version}'" if version else f"several versions, write {stem}:VERSION"
        raise UserError(f"pass '{name}': the {family} kernel has {wrong}; there are: {', '.join(versions(family))}")
    digest = hashlib.sha256(f"{declared.digest} {source_digest(ROOT / family / f'{version}.cu')}".encode()).hexdigest()
    return replace(declared, name=f"{stem}:{version}", digest=digest, value=graph_pass.at(version))


def _expanded(word: str) -> tuple[str, ...]:
    if re.match(rf"{ALL}([{WITHOUT}{WITH}{ORDER}]|$)", word) is None:
        return (word,)
    named, _, order = word.partition(ORDER)
    without, more = (re.findall(rf"[{mark}]([^{WITHOUT}{WITH}]*)", named) for mark in (WITHOUT, WITH))
    for name in without:
        if name not in routine():
            raise UserError(f"passes '{word}': {name} is not in '{ALL}', which has {', '.join(routine())}")
    kept = [name for name in routine() if name not in without]
    return _ordered(sorted({*kept, *more}, key=_place), word, order)


def _place(name: str) -> tuple[int, str]:
    """Stage, then name; an option moves no pass."""
    stage: int = find(name).value.stage
    return stage, name


def _ordered(passes: list[str], word: str, order: str) -> tuple[str, ...]:
    if order == REVERSED:
        passes.reverse()
    elif order.isdecimal():
        random.Random(int(order)).shuffle(passes)
    elif ORDER in word:
        raise UserError(f"passes '{word}': after {ORDER} comes {REVERSED}, or the number of a shuffle")
    return tuple(passes)


def _names(stem: str, graph_pass: GraphPass) -> list[str]:
    if isinstance(graph_pass, PluginPass):
        return [f"{stem}:{version}" for version in versions(graph_pass.family)]
    return [f"{stem}:{option}" for option in graph_pass.options] if isinstance(graph_pass, OptionPass) else [stem]


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
