"""What a version cannot take on a GPU is one sentence, never a launch that fails."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from plugins.discovery import all_kernels, find
from plugins.gpu import TARGETS, Gpu
from plugins.header import plan
from plugins.kernel import Kernel, Plan, Problem, Unsupported

ROWS = [kernel for kernel in all_kernels() if "cols" in kernel.family.dims]
SMALL = replace(TARGETS["sm_90"], shared_per_block=16 * 1024)


def problem(kernel: Kernel, cols: int) -> Problem:
    dims = dict.fromkeys(kernel.family.dims, 8) | {"cols": cols}
    return Problem(dims, "fp32", {name: values[0] for name, values in kernel.family.options.items()})


def answer(kernel: Kernel, cols: int, gpu: Gpu) -> Plan | str:
    """The plan, or the sentence with which the version refuses."""
    try:
        return plan(kernel, problem(kernel, cols), gpu)
    except Unsupported as error:
        return str(error)


@pytest.mark.parametrize("kernel", ROWS, ids=lambda kernel: kernel.id)
def test_a_row_that_is_too_long_is_refused_in_one_sentence(kernel: Kernel) -> None:
    assert isinstance(answer(kernel, 1024, TARGETS["sm_90"]), Plan)
    said = answer(kernel, 1_000_000, TARGETS["sm_90"])
    assert re.fullmatch(rf"{kernel.id} cannot take .*columns.*", str(said))


@pytest.mark.parametrize("kernel", ROWS, ids=lambda kernel: kernel.id)
def test_a_gpu_with_little_shared_memory_is_never_asked_for_more(kernel: Kernel) -> None:
    match answer(kernel, 16384, SMALL):
        case Plan(shared=shared):
            assert shared <= SMALL.shared_per_block
        case said:
            assert re.fullmatch(rf"{kernel.id} .*shared memory.* 16384: use another version", said)


def test_a_version_that_keeps_its_row_in_shared_memory_is_refused_on_such_a_gpu() -> None:
    assert isinstance(answer(find("layernorm/v4_welford"), 16384, TARGETS["sm_90"]), Plan)
    assert isinstance(answer(find("layernorm/v4_welford"), 16384, SMALL), str)
