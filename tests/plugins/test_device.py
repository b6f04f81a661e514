"""A machine that cannot run kernels says why, and what to do; launches are put together without a GPU."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace
from typing import Any

import pytest

from plugins import device
from plugins.discovery import families, find
from plugins.gpu import TARGETS
from plugins.header import plan
from plugins.kernel import Problem
from plugins.prepare import prepare


class Status:
    def __init__(self, code: int, name: str = "CUDA_SUCCESS") -> None:
        self.code, self.name = code, name

    def __int__(self) -> int:
        return self.code


def driver(version: int = 13000, count: int = 1, init: Status | None = None) -> Any:
    return SimpleNamespace(
        cuInit=lambda _: (init or Status(0),),
        cuDriverGetVersion=lambda: (Status(0), version),
        cuDeviceGetCount=lambda: (Status(0), count),
    )


@pytest.mark.parametrize(
    ("fake", "said"),
    [
        (driver(version=12080), "the CUDA driver is for CUDA 12.8; the kernels need 13.0: update the NVIDIA driver"),
        (driver(count=0), "no GPU: the CUDA driver finds no device"),
        (driver(init=Status(100, "CUDA_ERROR_NO_DEVICE")), "no GPU: the CUDA driver answers CUDA_ERROR_NO_DEVICE"),
        (driver(), None),
    ],
)
def test_the_reason_names_what_is_missing(fake: Any, said: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "find_spec", lambda _: True)
    monkeypatch.setattr(device, "import_module", lambda _: fake)
    reason = device.unavailable.__wrapped__()
    assert reason is None if said is None else reason is not None and reason.startswith(said)


def test_arguments_are_inputs_then_dimensions_then_outputs() -> None:
    problem = Problem({"rows": 3, "cols": 64}, "fp16", {"affine": True})
    chosen = plan(find("layernorm/v5_hopper"), problem, TARGETS["sm_90"])
    pointers = {"x": 100, "gamma": 200, "beta": 300, "y": 400}
    values = device._arguments(chosen, chosen.steps[0], pointers)
    assert [v.value for v in values] == [100, 200, 300, 3, 64, 400]
    assert [type(v) for v in values[3:5]] == [ctypes.c_int32, ctypes.c_int32]


def test_without_affine_the_weights_are_no_arguments() -> None:
    problem = Problem({"rows": 3, "cols": 64}, "fp16", {"affine": False})
    chosen = plan(find("layernorm/v1_tree"), problem, TARGETS["sm_90"])
    assert [v.value for v in device._arguments(chosen, chosen.steps[0], {"x": 1, "y": 2})] == [1, 3, 64, 2]


def test_occupancy_chooses_among_the_block_sizes_that_a_version_offers() -> None:
    pytest.importorskip("cuda.bindings.nvrtc")
    problem = Problem({"rows": 64, "cols": 8192}, "fp32", {"affine": True})
    ready = prepare(find("layernorm/v4_welford"), problem, TARGETS["sm_90"])
    # 32 KiB of shared memory a row: six blocks fit an SM, so small blocks leave it half empty.
    assert ready.plan.block[0] >= 256
    assert ready.occupancy >= 0.75


def test_a_problem_counts_the_bytes_that_must_move() -> None:
    skip = families()["skip_layernorm"]
    kept = Problem({"rows": 10, "cols": 4}, "fp16", {"keep": True})
    assert skip.bytes_moved(kept) == (4 * 40 + 3 * 4) * 2
