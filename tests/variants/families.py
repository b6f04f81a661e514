"""The model families as passes meet them: exported once for all processes of a test run, with inputs at several shapes."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import onnx
import pytest

from bench.artefacts import Artefacts
from bench.cache import Cache
from bench.phases import Phases
from reports.case import Case
from variants.find import find
from variants.graph_pass import Setting
from variants.shapes import inputs_at, timed
from variants.variant import BATCH, Array, Variant

NAMES = ("vit_digits", "vit:tiny", "bert:tiny", "uniformer_s:tiny", "wenet_encoder:tiny", "wenet_decoder:tiny", "dab_detr_r50:tiny")
FAMILIES = [name for name in NAMES if not find(name).value.why_not(find(name).value.only_batch or 1)]
TIMED_BATCH = 2


@dataclass(frozen=True, slots=True)
class Exported:
    """A family's graph, what a fitted pass is told of it, and its feeds: the first at the setting's sizes, the others elsewhere."""

    variant: Variant
    path: Path
    model: onnx.ModelProto
    setting: Setting
    feeds: tuple[dict[str, Array], ...]


def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all processes of a test run."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "models"
    folder.mkdir(exist_ok=True)
    return folder


@cache
def exported(name: str, folder: Path) -> Exported:
    """The raw export, checked against PyTorch; another process that wants it too waits for it."""
    variant = find(name).value
    batch = variant.only_batch or TIMED_BATCH
    case = Case(find(name).name, (), "fp32", batch, "onnxruntime")
    with (folder / f"{name.replace(':', '_')}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        path = Artefacts(Cache(folder)).transformed(case, Phases()).graph.path
    sizes = timed(variant, batch)
    shapes = [sizes, *(dict(sizes) | dict(other) for other in variant.check_shapes)]
    if variant.only_batch:
        shapes = [shape | {BATCH: batch} for shape in shapes]
    return Exported(
        variant,
        path,
        onnx.load(path),
        Setting(sizes, variant.ranges, variant.outputs),
        tuple(inputs_at(variant, shape) for shape in shapes[:3]),
    )
