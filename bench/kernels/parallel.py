"""Compile many plans at once. NVRTC holds one lock a process, so the workers are processes."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from plugins.discovery import find
from plugins.gpu import Gpu
from plugins.kernel import BadKernelFile, Kernel, Problem, Unsupported
from plugins.nvrtc import CompileError
from plugins.prepare import Ready, is_prepared, prepare

Job = tuple[Kernel, Problem, Gpu]
EVERY_S = 3.0


@dataclass(frozen=True, slots=True)
class Refused:
    """A version that did not compile or cannot take the problem; `wrong` when the file is at fault."""

    kernel: Kernel
    problem: Problem
    arch: str
    reason: str
    wrong: bool


def compile_all(jobs: Iterable[Job], workers: int | None = None) -> list[Ready | Refused]:
    """One result a job, in order. `workers` processes, all cores unless told, compile what the cache lacks.

    What takes longer than a few seconds says on stderr how far it is.
    """
    listed = list(jobs)
    # A family holds functions, which do not travel: workers find the kernel by its name.
    light = [(job[0].id, job[0].family.folder.parent, *job[1:]) for job in listed if _missing(job)]
    count = min(workers or os.cpu_count() or 1, len(light))
    if count > 1:
        with ProcessPoolExecutor(count, get_context("spawn")) as pool:
            # Small pieces: what is told is told in time, and a slow version does not hold up the rest.
            _told(pool.map(_fill_cache, light, chunksize=4), len(light))
    return [_one(job) for job in listed]


def _told(done: Iterable[None], total: int) -> None:
    said = time.monotonic()
    for count, _ in enumerate(done, 1):
        if time.monotonic() - said > EVERY_S:
            said = time.monotonic()
            print(f"compiled {count:,} of {total:,} kernels", file=sys.stderr, flush=True)


def _missing(job: Job) -> bool:
    try:
        return not is_prepared(*job)
    except (Unsupported, BadKernelFile):
        return False


def _fill_cache(light: tuple[str, Path, Problem, Gpu]) -> None:
    name, root, problem, gpu = light
    _one((find(name, root), problem, gpu))


def _one(job: Job) -> Ready | Refused:
    kernel, problem, gpu = job
    try:
        return prepare(kernel, problem, gpu)
    except Unsupported as error:
        return Refused(kernel, problem, gpu.arch, str(error), wrong=False)
    except (CompileError, BadKernelFile) as error:
        return Refused(kernel, problem, gpu.arch, str(error), wrong=True)
