"""Every graph pass as the user writes it: `fold`, and `layernorm_plugin:v5_hopper` for one that places a version of a kernel."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from bench.backend import Backend
from common.discover import Declared, discover
from common.errors import UserError, unknown
from plugins.discovery import ROOT, versions
from plugins.nvrtc import source_digest
from variants.graph_pass import GraphPass
from variants.plugin_pass import PluginPass


def names() -> list[str]:
    """All that `find` takes: a pass that places a kernel once for each of its `.cu` files."""
    return [name for stem, declared in discover("variants.passes", GraphPass).items() for name in _names(stem, declared.value)]


def find(name: str) -> Declared[GraphPass]:
    """The pass called `name`; raises UserError with what there is.

    Where it places a kernel, its digest covers the kernel's source: an engine is built again when that changes.
    """
    stem, colon, version = name.partition(":")
    declared = discover("variants.passes", GraphPass).get(stem)
    if declared is None:
        raise unknown("pass", name, [*names(), "none"])
    if not isinstance(declared.value, PluginPass):
        if colon:
            raise UserError(f"pass '{name}': {stem} has no versions; write {stem}")
        return declared
    family = declared.value.family
    if version not in versions(family):
        wrong = f"no version '{version}'" if version else f"several versions, write {stem}:VERSION"
        raise UserError(f"pass '{name}': the {family} kernel has {wrong}; there are: {', '.join(versions(family))}")
    digest = hashlib.sha256(f"{declared.digest} {source_digest(ROOT / family / f'{version}.cu')}".encode()).hexdigest()
    return replace(declared, name=name, digest=digest, value=declared.value.at(version))


def kernels(pipeline: Sequence[str]) -> list[Declared[GraphPass]]:
    """Those passes of a pipeline that place a kernel."""
    return [find(name) for name in pipeline if ":" in name]


def refusal(pipeline: Sequence[str], backend: Backend) -> str:
    """Why this backend does not build what the pipeline makes; "" where it does."""
    return (kernels(pipeline) and backend.why_no_plugins()) or ""


def _names(stem: str, graph_pass: GraphPass) -> list[str]:
    return [f"{stem}:{version}" for version in versions(graph_pass.family)] if isinstance(graph_pass, PluginPass) else [stem]
