"""What the three ways to choose a range do to known distributions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import pytest

from common.errors import UserError
from tests.variants.graphs import model, node, value
from variants.lowering import calibration
from variants.lowering.calibration import BINS, LEVELS, Threshold, calibrate, entropy, minmax, mse, percentile

Draw = np.ndarray[Any, np.dtype[np.float32]]
METHODS = {"minmax": minmax, "percentile": percentile(99.99), "entropy": entropy, "mse": mse}


def identity(width: int = 4) -> onnx.ModelProto:
    flat = ("batch", width)
    return model([node("Neg", "x", "y")], inputs=[value("x", flat)], outputs=[value("y", flat)])


def limit(values: Draw, threshold: Threshold, tensor: str = "y") -> float:
    found = calibrate(identity(values.shape[1]), [tensor], {"x": values}, threshold)
    assert [entry.tensor for entry in found] == [tensor]
    return found[0].limit


def normal(rows: int = 4000, seed: int = 0) -> Draw:
    return np.random.default_rng(seed).normal(size=(rows, 4)).astype(np.float32)


@pytest.mark.parametrize("tensor", ["x", "y"])
def test_minmax_is_the_largest_magnitude_of_inputs_and_of_computed_tensors(tensor: str) -> None:
    values = normal(70)
    values[69, 3] = -9.5
    assert limit(values, minmax, tensor) == 9.5


def test_a_percentile_clips_an_outlier_to_within_one_bin() -> None:
    values = np.linspace(-1, 1, 40_000, dtype=np.float32).reshape(-1, 4)
    values[0, 0] = 8.0
    assert limit(values, percentile(99.99)) == pytest.approx(np.percentile(np.abs(values), 99.99), abs=8.0 / BINS)


def test_a_percentile_of_100_is_the_largest_magnitude() -> None:
    values = normal(100)
    assert limit(values, percentile(100)) == np.abs(values).max()


def test_a_percentile_covers_at_least_its_share_of_the_values() -> None:
    values = normal()
    for share in (50, 90, 99, 99.9):
        found = limit(values, percentile(share))
        assert (np.abs(values) <= found).mean() >= share / 100
        assert (np.abs(values) <= found - np.abs(values).max() / BINS).mean() < share / 100


def test_entropy_clips_a_heavy_outlier() -> None:
    values = normal()
    values[0, 0] = 60.0
    assert limit(values, entropy) < 10


def test_entropy_keeps_a_uniform_distribution() -> None:
    values = np.linspace(-3, 3, 80_000, dtype=np.float32).reshape(-1, 4)
    assert limit(values, entropy) > 2.95


def reference_entropy(counts: Sequence[float], levels: int) -> int:
    """The algorithm of the GTC 2017 slides (8-bit inference with TensorRT, pages 32 to 38), zeros left out, written out slowly."""
    counts = [counts[1], *counts[1:]]
    best, chosen = math.inf, 0
    for bins in range(levels, len(counts) + 1):
        p = [float(count) for count in counts[:bins]]
        p[-1] += sum(counts[bins:])
        q = [0.0] * bins
        for level in range(levels):
            members = range(level * bins // levels, (level + 1) * bins // levels)
            occupied = [i for i in members if counts[i]]
            for i in occupied:
                q[i] = sum(counts[j] for j in members) / len(occupied)
        total_p, total_q = sum(p), sum(q) or 1.0
        divergence = sum(a / total_p * math.log(a / total_p / max(b / total_q, 1e-12)) for a, b in zip(p, q, strict=True) if a)
        if divergence < best:
            best, chosen = divergence, bins
    return chosen


DISTRIBUTIONS: dict[str, Callable[[np.random.Generator], np.ndarray[Any, Any]]] = {
    "normal": lambda draw: draw.normal(size=20_000),
    "heavy tails": lambda draw: draw.standard_t(2, size=20_000),
    "uniform": lambda draw: draw.uniform(size=20_000),
    "mostly zero": lambda draw: draw.normal(size=20_000) * (draw.uniform(size=20_000) > 0.9),
    "few values": lambda draw: draw.integers(1, 12, size=20_000).astype(float),
    "one outlier": lambda draw: np.append(draw.normal(size=20_000), 50),
}


@pytest.mark.parametrize("kind", DISTRIBUTIONS)
def test_entropy_chooses_as_the_plainly_written_algorithm_does(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bins, levels = 160, 32
    monkeypatch.setattr(calibration, "BINS", bins)
    monkeypatch.setattr(calibration, "LEVELS", levels)
    values = np.abs(DISTRIBUTIONS[kind](np.random.default_rng(4)))
    counts = np.histogram(values, bins, (0, values.max()))[0].astype(float)
    chosen = reference_entropy(counts.tolist(), levels)
    assert entropy(counts, float(values.max())) == pytest.approx(chosen * values.max() / bins)


def test_zeros_do_not_move_what_entropy_chooses() -> None:
    """A ReLU behind a convolution gives most of them; they used to clip WeNet's first layer at an eighth of its range."""
    values = normal()
    zeros = np.zeros((40_000, 4), np.float32)
    assert limit(np.concatenate([values, zeros]), entropy) == limit(values, entropy)


def test_entropy_never_keeps_fewer_bins_than_there_are_levels() -> None:
    counts = np.zeros(BINS)
    counts[0], counts[-1] = 1e6, 1
    assert entropy(counts, 1.0) >= LEVELS / BINS


@pytest.mark.parametrize("method", METHODS)
def test_a_tensor_that_is_always_zero_gets_no_range_because_there_is_no_scale_for_it(method: str) -> None:
    """DAB-DETR's queries before its first decoder layer."""
    zeros = np.zeros((40, 4), np.float32)
    assert calibrate(identity(4), ["y"], {"x": zeros}, METHODS[method]) == ()


@pytest.mark.parametrize("row", [0, 39])
def test_a_tensor_that_is_not_finite_once_is_refused_by_name(row: int) -> None:
    """The reciprocal of zero, though all inputs are finite."""
    values = normal(40)
    values[row, 1] = 0
    flat = ("batch", 4)
    graph = model([node("Reciprocal", "x", "y")], inputs=[value("x", flat)], outputs=[value("y", flat)])
    with pytest.raises(UserError, match="tensor 'y' has largest magnitude inf"):
        calibrate(graph, ["y"], {"x": values}, minmax)


def _with(values: Draw, bad: float) -> Draw:
    values[7, 1] = bad
    return values


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "no data for input 'x'"),
        ({"x": normal(40), "z": normal(40)}, "the model has no input 'z'; it has x"),
        ({"x": normal(0)}, r"input 'x' is empty \(shape \[0, 4\]\)"),
        ({"x": normal(40).astype(np.float64)}, "input 'x' is float64, but the model takes float32"),
        ({"x": normal(40)[:, :3]}, r"input 'x' has shape \[40, 3\], but the model takes \[any, 4\]"),
        ({"x": normal(40)[..., None]}, r"input 'x' has shape \[40, 4, 1\]"),
        ({"x": _with(normal(40), np.nan)}, "input 'x' is not finite in number 7 of 40"),
        ({"x": _with(normal(40), np.inf)}, "input 'x' is not finite in number 7 of 40"),
    ],
)
def test_calibration_data_that_the_model_cannot_take_is_told_in_one_sentence(inputs: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        calibrate(identity(), ["y"], inputs, minmax)
    assert "\n" not in str(caught.value)


def test_inputs_of_different_number_are_told() -> None:
    graph = model([node("Add", "x z", "y")], inputs=[value("x"), value("z")])
    inputs = {"x": np.ones((3, 4, 8), np.float32), "z": np.ones((2, 4, 8), np.float32)}
    with pytest.raises(UserError, match=r"inputs differ in number \(x 3, z 2\)"):
        calibrate(graph, ["y"], inputs, minmax)


def plain_error(values: Draw, clip: float) -> float:
    """Mean square error of 8-bit rounding with this clip, value by value."""
    scale = clip / 127
    return float(np.mean([(v - min(round(v / scale), 127) * scale) ** 2 for v in values.tolist()]))


@pytest.mark.parametrize("kind", ["normal", "heavy tails", "uniform", "one outlier"])
def test_mse_chooses_a_clip_as_good_as_trying_all_on_the_values_themselves(kind: str) -> None:
    values = np.abs(DISTRIBUTIONS[kind](np.random.default_rng(4)))[:3000].astype(np.float32)
    chosen = limit(values.reshape(-1, 4), mse)
    best = min(plain_error(values, clip) for clip in np.linspace(values.max() / 16, values.max(), 60))
    assert plain_error(values, chosen) <= best * 1.02


def test_what_is_held_at_once_does_not_grow_with_the_number_of_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "BATCH", 4)
    sizes = [len(piece) for _, piece in calibration.activations(identity(), ["y"], {"x": normal(30)})]
    assert sizes == [4] * 7 + [2]


@pytest.mark.parametrize("method", METHODS)
def test_the_same_inputs_give_the_same_ranges(method: str) -> None:
    values = normal()
    assert limit(values, METHODS[method]) == limit(values.copy(), METHODS[method])


@pytest.mark.parametrize("method", METHODS)
def test_a_range_is_positive_and_never_beyond_what_was_seen(method: str) -> None:
    values = normal(300)
    assert 0 < limit(values, METHODS[method]) <= np.abs(values).max() * (1 + 1e-6)


def test_ranges_come_in_the_order_asked_for_and_do_not_depend_on_how_inputs_are_cut() -> None:
    values = normal(97)
    found = calibrate(identity(), ["y", "x"], {"x": values}, minmax)
    assert [entry.tensor for entry in found] == ["y", "x"]
    assert len({entry.limit for entry in found}) == 1


def test_a_tensor_inside_the_graph_is_calibrated_without_changing_the_model() -> None:
    graph = model([node("Mul", "x three", "h"), node("Relu", "h", "y")], {"three": np.float32(3)})
    before = graph.SerializeToString()
    values = np.random.default_rng(0).normal(size=(40, 4, 8)).astype(np.float32)
    (found,) = calibrate(graph, ["h"], {"x": values}, minmax)
    assert found.limit == pytest.approx(3 * np.abs(values).max())
    assert graph.SerializeToString() == before
