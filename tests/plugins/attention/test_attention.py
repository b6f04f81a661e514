"""Attention versions without a GPU: what they take, how they are laid out, that they do not spill."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import numpy as np
import pytest

from plugins.discovery import families, find
from plugins.gpu import TARGETS
from plugins.header import plan
from plugins.kernel import Plan, Problem, Unsupported
from plugins.nvrtc import unavailable
from plugins.prepare import prepare

H200 = TARGETS["sm_90"]
FAMILY = families()["attention"]
FUSED = ("attention/v2_fused", "attention/v3_hopper")


def problem(seq: int, batch: int = 1, dtype: str = "fp16", masked: bool = False, width: int = 64, align: int = 16) -> Problem:
    return Problem({"batch": batch, "heads": 12, "seq": seq, "width": width}, dtype, {"masked": masked}, align)


def planned(version: str, chosen: Problem, shared_limit: int = H200.shared_per_block) -> Plan:
    return plan(find(version), chosen, replace(H200, shared_per_block=shared_limit))


def test_the_reference_is_a_weighted_mean_of_values() -> None:
    rng = np.random.default_rng(0)
    q, k, v = rng.standard_normal((3, 1, 2, 5, 4))
    y = FAMILY.reference(q, k, v, scale=0.5)
    weights = np.exp([0.5 * q[0, 1, 3] @ k[0, 1, j] for j in range(5)])
    assert np.allclose(y[0, 1, 3], sum(w * v[0, 1, j] for j, w in enumerate(weights)) / weights.sum())


def test_a_hidden_key_does_not_count_and_a_row_without_keys_is_nan() -> None:
    rng = np.random.default_rng(0)
    q, k, v = rng.standard_normal((3, 2, 1, 6, 4))
    mask = np.zeros((2, 6))
    mask[0, 4:] = -np.inf
    mask[1] = -np.inf
    with np.errstate(invalid="ignore"):
        y = FAMILY.reference(q, k, v, mask)
    assert np.allclose(y[0], FAMILY.reference(q[:1], k[:1, :, :4], v[:1, :, :4])[0])
    assert np.isnan(y[1]).all()


@pytest.mark.parametrize("version", FUSED)
@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        (problem(197, dtype="fp32"), "use v1_unfused for fp32"),
        (problem(197, width=32), "the head size is 64"),
        (problem(197, align=2), "pointers must be multiples of 16"),
        (problem(197, batch=6000), "a grid has at most 65,535 heads"),
    ],
)
def test_what_a_fused_version_cannot_take_is_one_sentence(version: str, chosen: Problem, sentence: str) -> None:
    with pytest.raises(Unsupported, match=sentence):
        planned(version, chosen)


def test_the_hopper_version_is_for_hopper_alone() -> None:
    for arch in ("sm_80", "sm_89", "sm_100", "sm_120"):
        with pytest.raises(Unsupported, match="use v2_fused"):
            plan(find("attention/v3_hopper"), problem(197), TARGETS[arch])


@pytest.mark.parametrize("version", FUSED)
@pytest.mark.parametrize("seq", [1, 63, 128, 129, 197, 256, 257, 384, 512, 1023, 1024])
@pytest.mark.parametrize("batch", [1, 8, 32])
def test_blocks_cover_every_query_and_the_ring_holds_what_is_in_flight(version: str, seq: int, batch: int) -> None:
    for limit in (H200.shared_per_block, 48 * 1024):
        got = planned(version, problem(seq, batch, masked=True), limit)
        tile, teams, slots = (int(got.macros[n]) for n in ("KEYS", "SPLIT", "SLOTS"))
        tiles = ceil(ceil(seq / tile) / teams)
        assert got.grid[0] * 16 * got.macros["WARPS"] >= seq
        assert got.grid[1] == 12 * batch
        assert slots >= min(4, tiles + 1), "keys of the next tile would land on values in use"
        assert got.shared >= teams * slots * tile * 128 + 2048 * got.macros["WARPS"] + 4 * seq
        assert (teams - 1) * 36 * 32 * got.macros["WARPS"] * 4 <= got.shared, "teams meet in the same memory"
        assert got.shared <= limit


def test_a_small_batch_shares_the_keys_between_teams() -> None:
    assert planned("attention/v3_hopper", problem(384, batch=1)).macros["SPLIT"] > 1
    assert planned("attention/v3_hopper", problem(384, batch=32)).macros["SPLIT"] == 1


@pytest.mark.skipif(unavailable() is not None, reason=str(unavailable()))
@pytest.mark.parametrize("version", FUSED)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("batch", "seq"), [(1, 128), (1, 197), (8, 197), (8, 384), (1, 512), (8, 1024)])
def test_a_fused_version_keeps_its_scores_in_registers(version: str, masked: bool, batch: int, seq: int) -> None:
    ready = prepare(find(version), problem(seq, batch, masked=masked), H200)
    assert ready.compiled.spilled == 0
    assert "serialized" not in ready.compiled.log, "the compiler gave up overlapping wgmma"
