"""Compile a plan's `.cu` file with NVRTC: no GPU needed, cached by content."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from plugins.gpu import Gpu
from plugins.kernel import BadKernelFile, Plan

_HERE = Path(__file__).parent
_INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)
_LOG = {
    "registers": re.compile(r"Used (\d+) registers"),
    "shared": re.compile(r"(\d+) bytes smem"),
    "stack": re.compile(r"(\d+) bytes stack frame"),
    "spilled": re.compile(r"(\d+) bytes spill stores"),
}


class CompileError(Exception):
    """NVRTC refused a `.cu` file; the message is its log, which names file and line."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """Machine code of one plan. Sizes in bytes; `shared` is the static part."""

    entry: str
    arch: str
    code: bytes
    registers: int
    shared: int
    stack: int
    spilled: int
    log: str


def unavailable() -> str | None:
    """Why nothing can be compiled here, or None."""
    if find_spec("cuda") is None or find_spec("cuda.bindings") is None:
        return "cuda-bindings is not installed: pip install 'cuda-bindings>=13' nvidia-cuda-nvrtc"
    return None


def compile_plan(plan: Plan, gpu: Gpu, form: str = "cubin", cache: Path | None = None) -> Compiled:
    """Machine code (`form` "cubin") or PTX ("ptx") of `plan` for `gpu`; raises CompileError.

    A cubin runs on every driver of its CUDA major version; PTX needs a driver at least as new as
    NVRTC. The cache (`.trtbench/kernels` unless told) is keyed by the sources and every option.
    """
    where = _place(plan, gpu, form, cache)
    if _complete(where):
        return _read_log(
            plan.kernel.entry,
            gpu,
            where.read_bytes(),
            where.with_suffix(".log").read_text(),
        )
    code, log = _nvrtc(plan.kernel.path.read_bytes(), str(plan.kernel.path), _options(plan, gpu), form)
    where.parent.mkdir(parents=True, exist_ok=True)
    # The log goes first and each file arrives whole, so that a parallel reader never sees half.
    for path, data in ((where.with_suffix(".log"), log.encode()), (where, code)):
        part = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}")
        part.write_bytes(data)
        part.replace(path)
    return _read_log(plan.kernel.entry, gpu, code, log)


def is_compiled(plan: Plan, gpu: Gpu, form: str = "cubin", cache: Path | None = None) -> bool:
    """Whether `compile_plan` would answer from its cache."""
    return _complete(_place(plan, gpu, form, cache))


def _place(plan: Plan, gpu: Gpu, form: str, cache: Path | None) -> Path:
    key = _digest(plan.kernel.path, [form, _version(), *_options(plan, gpu)])
    return (cache or Path(".trtbench/kernels")) / f"{plan.kernel.entry}-{key}.{form}"


def _complete(where: Path) -> bool:
    return where.exists() and where.with_suffix(".log").exists()


def source_digest(path: Path) -> str:
    """sha256 over a `.cu` file and everything it includes from plugins/."""
    return _digest(path, [])


def _options(plan: Plan, gpu: Gpu) -> list[str]:
    defines = {
        "ENTRY": plan.kernel.entry,
        f"DTYPE_{plan.problem.dtype.upper()}": 1,
        **{k.upper(): repr(float(v)) + "f" for k, v in plan.kernel.family.constants.items()},
        **{k.upper(): int(v) for k, v in plan.problem.options.items() if isinstance(v, bool)},
        **{f"{k}_{v}".upper(): 1 for k, v in plan.problem.options.items() if isinstance(v, str)},
        **{k: int(v) if isinstance(v, bool) else v for k, v in plan.macros.items()},
    }
    return [
        f"--gpu-architecture={gpu.arch}{plan.feature}",
        "--std=c++17",
        "--ptxas-options=-v",
        "--no-cache",  # NVRTC's own cache gives code without ptxas's report
        "--device-as-default-execution-space",
        *[f"-I{p}" for p in (_HERE, plan.kernel.path.parent, *_cuda_includes())],
        *[f"-D{k}={v}" for k, v in defines.items()],
    ]


def _cuda_includes() -> list[Path]:
    """Header folders: the CCCL and CUDA wheels, then an installed toolkit."""
    spec = find_spec("nvidia")
    roots = [Path(p) / "cu13/include" for p in (spec.submodule_search_locations or [])] if spec else []
    roots.append(Path(os.environ.get("CUDA_HOME", "/usr/local/cuda")) / "include")
    return [p for root in roots for p in (root / "cccl", root) if p.is_dir()]


def _digest(path: Path, words: list[str]) -> str:
    whole = hashlib.sha256("\0".join(w for w in words if not w.startswith("-I")).encode())
    todo, seen = [path], set[Path]()
    while todo:
        here = todo.pop()
        if here in seen or not here.is_file():
            continue
        seen.add(here)
        text = here.read_text(encoding="utf-8")
        whole.update(text.encode())
        todo += [base / name for name in _INCLUDE.findall(text) for base in (_HERE, here.parent)]
    return whole.hexdigest()[:20]


def _bindings() -> Any:
    # Untyped, and absent on machines that only read measurements.
    return import_module("cuda.bindings.nvrtc")


def _version() -> str:
    _, major, minor = _bindings().nvrtcVersion()
    return f"nvrtc {major}.{minor}"


def _nvrtc(source: bytes, name: str, options: list[str], form: str) -> tuple[bytes, str]:
    nvrtc = _bindings()
    _, program = nvrtc.nvrtcCreateProgram(source, name.encode(), 0, [], [])
    try:
        (status,) = nvrtc.nvrtcCompileProgram(program, len(options), [o.encode() for o in options])
        _, size = nvrtc.nvrtcGetProgramLogSize(program)
        log = b" " * size
        nvrtc.nvrtcGetProgramLog(program, log)
        text = log.decode(errors="replace").rstrip("\0 \n")
        if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
            raise CompileError(f"{name} does not compile ({status.name}): {text}")
        get_size, get = {
            "cubin": (nvrtc.nvrtcGetCUBINSize, nvrtc.nvrtcGetCUBIN),
            "ptx": (nvrtc.nvrtcGetPTXSize, nvrtc.nvrtcGetPTX),
        }[form]
        _, size = get_size(program)
        code = b" " * size
        get(program, code)
        return code, text
    finally:
        nvrtc.nvrtcDestroyProgram(program)


def _read_log(entry: str, gpu: Gpu, code: bytes, log: str) -> Compiled:
    # One report a kernel of the file; ours begins at its name.
    ours = log.partition(f"Compiling entry function '{entry}'")[2].partition("Compiling entry function")[0]
    if not ours:
        raise BadKernelFile(f"{entry}: no kernel of this name was compiled: call the __global__ function ENTRY")
    found = {name: int(hit.group(1)) if (hit := pattern.search(ours)) else 0 for name, pattern in _LOG.items()}
    return Compiled(entry=entry, arch=gpu.arch, code=code, log=log, **found)
