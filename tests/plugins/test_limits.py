"""What a version cannot take on a GPU is one sentence, never a launch that fails."""

from __future__ import annotations

from dataclasses import replace

import pytest

from plugins.discovery import all_kernels
from plugins.gpu import TARGETS
from plugins.header import plan
from plugins.kernel import Kernel, Problem, Unsupported

ROWS = [kernel for kernel in all_kernels() if "cols" in kernel.family.dims]
SMALL = replace(TARGETS["sm_90"], shared_per_block=16 * 1024)


def problem(kernel: Kernel, cols: int) -> Problem:
    dims = dict.fromkeys(kernel.family.dims, 8) | {"cols": cols}
    return Problem(dims, "fp32", {name: values[0] for name, values in kernel.family.options.items()})


@pytest.mark.parametrize("kernel", ROWS, ids=lambda kernel: kernel.id)
def test_a_row_of_16384_columns_is_taken_or_refused_and_a_longer_one_refused(kernel: Kernel) -> None:
    try:
        assert plan(kernel, problem(kernel, 16384), TARGETS["sm_90"]).problem.dims["cols"] == 16384
    except Unsupported as error:
        assert kernel.id in str(error)
    with pytest.raises(Unsupported, match=rf"^{kernel.id} cannot take .*columns") as error:
        plan(kernel, problem(kernel, 1_000_000), TARGETS["sm_90"])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kernel", ROWS, ids=lambda kernel: kernel.id)
def test_a_gpu_with_little_shared_memory_is_never_asked_for_more(kernel: Kernel) -> None:
    try:
        assert plan(kernel, problem(kernel, 16384), SMALL).shared <= SMALL.shared_per_block
    except Unsupported as error:
        assert "bytes of shared memory" in str(error)
        assert "sm_90 gives a block 16384: use another version" in str(error)


def test_the_versions_that_keep_a_row_in_shared_memory_are_refused_on_such_a_gpu() -> None:
    def refused(kernel: Kernel) -> bool:
        try:
            plan(kernel, problem(kernel, 16384), SMALL)
        except Unsupported:
            return True
        return False

    names = {kernel.id for kernel in ROWS if refused(kernel)}
    assert "layernorm/v4_welford" in names
    assert "layernorm/v1_tree" not in names
