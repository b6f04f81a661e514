"""The folder registers: a family is a folder with a reference.py, a version is a `.cu` file in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from plugins.header import read
from plugins.kernel import BadKernelFile, Family, Kernel

ROOT = Path(__file__).parent


def families(root: Path = ROOT) -> dict[str, Family]:
    """Every family by name; raises BadKernelFile when a reference.py does not keep its promise."""
    return {p.parent.name: _family(p) for p in sorted(root.glob("*/reference.py"))}


def kernels(family: Family) -> list[Kernel]:
    """The family's versions in natural order (v2 before v10); one that cannot be read has its `fault` and hides no other."""
    return [_kernel(family, path) for path in sorted(family.folder.glob("*.cu"), key=_natural)]


def versions(family: str, root: Path = ROOT) -> list[str]:
    """Names of a family's versions in natural order, from the folder alone."""
    return [path.stem for path in sorted((root / family).glob("*.cu"), key=_natural)]


def all_kernels(root: Path = ROOT) -> list[Kernel]:
    """Every version of every family."""
    return [k for family in families(root).values() for k in kernels(family)]


def find(kernel_id: str, root: Path = ROOT) -> Kernel:
    """The version named `family/version`; raises KeyError with the names that exist."""
    known = {k.id: k for k in all_kernels(root)}
    if kernel_id not in known:
        raise KeyError(f"no kernel {kernel_id}; there are: {', '.join(known)}")
    return known[kernel_id]


def _kernel(family: Family, path: Path) -> Kernel:
    try:
        return read(family, path)
    except BadKernelFile as error:
        return Kernel(family, path.stem, path, idea="", origin="", launch="", launch_line=1, fault=str(error))


def _natural(path: Path) -> list[tuple[int, str]]:
    return [(int(p), "") if p.isdigit() else (0, p) for p in re.split(r"(\d+)", path.stem)]


def _family(path: Path) -> Family:
    module = _load(path)
    label = (module.__doc__ or "").strip().splitlines()
    missing = [n for n in ("DIMS", "INPUTS", "OUTPUTS", "TOLERANCES", "BUILD", "reference") if not hasattr(module, n)]
    if missing or not label:
        raise BadKernelFile(f"{path}: define {', '.join(missing) or 'a docstring'}")
    constants: Mapping[str, float] = getattr(module, "CONSTANTS", {})
    return Family(
        name=path.parent.name,
        label=label[0],
        folder=path.parent,
        dims=module.DIMS,
        inputs=module.INPUTS,
        outputs=module.OUTPUTS,
        reference=module.reference,
        tolerances=module.TOLERANCES,
        options=getattr(module, "OPTIONS", {}),
        constants=constants,
        build=module.BUILD,
    )


def _load(path: Path) -> ModuleType:
    # By path, so that a family folder needs no __init__.py and tests may point at another root.
    spec = spec_from_file_location(f"plugins.{path.parent.name}.reference", path)
    if spec is None or spec.loader is None:
        raise BadKernelFile(f"{path}: cannot be imported")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
