"""ONNX Runtime's profile: small ones written here, one recorded in the test, and real ones where the corpus is."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from common.errors import UserError
from reports.layers.layer import Layer
from reports.layers.onnxruntime import layers
from reports.layers.read import read as read_file
from tests.variants.graphs import body, model, node, value

CORPUS = Path(__file__).parents[4] / "shared" / "corpus" / "local__generated"
Event = dict[str, Any]


def run(ts: int, dur: int) -> Event:
    return {"cat": "Session", "pid": 1, "tid": 1, "dur": dur, "ts": ts, "ph": "X", "name": "model_run", "args": {}}


def kernel(name: str, ts: int, dur: int, op: str = "Add", shapes: tuple[list[int], ...] = ([4], [4]), tid: int = 1) -> Event:
    inputs = [{"float": shape} for shape in shapes]
    args = {"op_name": op, "input_type_shape": inputs, "provider": "CPUExecutionProvider", "node_index": "0"}
    return {"cat": "Node", "pid": 1, "tid": tid, "dur": dur, "ts": ts, "ph": "X", "name": f"{name}_kernel_time", "args": args}


def trace(*events: Event) -> bytes:
    return json.dumps(events).encode()


def read(*events: Event, skip_runs: int = 0) -> dict[str, Layer]:
    return {layer.name: layer for layer in layers(trace(*events), skip_runs)}


def test_times_are_microseconds_a_run() -> None:
    found = read(kernel("a", 1, 10), kernel("b", 12, 30), run(0, 50), kernel("a", 101, 20), kernel("b", 122, 30), run(100, 60))
    assert (found["a"].mean_us, found["a"].median_us, found["a"].calls) == (15, 15, 1)
    assert (found["b"].rank, found["a"].rank) == (1, 2)
    assert found["b"].share == pytest.approx(30 / 45)


def test_a_slow_run_moves_the_mean_but_not_the_median() -> None:
    events = [event for i in range(5) for event in (kernel("a", i * 100 + 1, 60 if i == 2 else 10), run(i * 100, 90))]
    assert (read(*events)["a"].mean_us, read(*events)["a"].median_us) == (20, 10)


def test_the_first_runs_are_left_out_when_asked_for() -> None:
    events = [kernel("a", 1, 80), run(0, 90), kernel("a", 101, 10), run(100, 90)]
    assert read(*events, skip_runs=1)["a"].mean_us == 10


def test_a_node_that_runs_twice_in_a_run_is_one_layer_of_two_calls() -> None:
    found = read(kernel("a", 1, 10), kernel("a", 12, 10), run(0, 50))
    assert (found["a"].mean_us, found["a"].calls) == (20, 2)


def test_two_operators_under_one_name_are_two_layers() -> None:
    assert len(layers(trace(kernel("a", 1, 10), kernel("a", 12, 10, "Mul"), run(0, 50)))) == 2


def test_the_nodes_of_a_body_are_not_counted_beside_their_loop() -> None:
    found = read(kernel("inner", 5, 3), kernel("inner", 9, 3), kernel("loop", 2, 20, "Loop"), kernel("after", 23, 10), run(0, 40))
    assert {name: layer.mean_us for name, layer in found.items()} == {"loop": 20, "after": 10}


def test_a_node_that_fills_its_parent_to_the_microsecond_is_not_counted_beside_it() -> None:
    assert list(read(kernel("inner", 2, 20), kernel("if", 2, 20, "If"), run(0, 40))) == ["if"]


def test_a_node_that_seems_to_end_after_its_parent_by_rounding_is_not_counted_beside_it() -> None:
    assert list(read(kernel("inner", 11, 5), kernel("if", 10, 5, "If"), run(0, 40))) == ["if"]


def test_bodies_within_bodies_belong_to_the_outermost() -> None:
    found = read(kernel("deep", 6, 2), kernel("if", 5, 4, "If"), kernel("side", 10, 2), kernel("loop", 2, 20, "Loop"), run(0, 40))
    assert list(found) == ["loop"]


def test_the_node_that_follows_a_loop_at_once_counts() -> None:
    assert set(read(kernel("loop", 2, 20, "Loop"), kernel("after", 22, 5), run(0, 40))) == {"loop", "after"}


def test_a_node_on_another_thread_during_a_loop_counts() -> None:
    assert set(read(kernel("other", 5, 5, tid=2), kernel("loop", 2, 20, "Loop"), run(0, 40))) == {"other", "loop"}


def test_nodes_outside_any_run_are_left_out() -> None:
    assert list(read(kernel("before", 1, 5), kernel("a", 101, 5), run(100, 50), kernel("late", 200, 5))) == ["a"]


@pytest.mark.parametrize(
    ("op", "shapes", "expected"),
    [
        ("MatMul", ([1, 65, 128], [128, 384]), "matrix product"),
        ("MatMul", ([1, 4, 65, 32], [1, 4, 32, 65]), "attention"),
        ("Gemm", ([1, 128], [128, 10], [10]), "matrix product"),
        ("QLinearMatMul", ([1, 65, 8], [], [], [8, 8], [8], [8]), "matrix product"),
        ("QLinearMatMul", ([1, 65, 8], [], [], [1, 8, 65], [], []), "attention"),
    ],
)
def test_a_product_is_by_a_weight_when_its_second_factor_is_a_matrix(op: str, shapes: tuple[list[int], ...], expected: str) -> None:
    assert read(kernel("p", 1, 5, op, shapes), run(0, 10))["p"].group == expected


@pytest.mark.parametrize("name", ["größe/层", "<script>alert(1)</script>", 'say "hi" \\ there', "a b\tc", "_kernel_time", ""])
def test_a_name_arrives_as_it_was_written(name: str) -> None:
    assert list(read(kernel(name, 1, 5), run(0, 10))) == [name]


WHOLE = trace(kernel("a", 1, 5), run(0, 10))
BROKEN = {
    "empty": b"",
    "not JSON": b"<html></html>",
    "truncated": WHOLE[:-20],
    "not a list": b'{"name": "a"}',
    "other JSON": b"[1, 2]",
    "an event without a name": b'[{"cat": "Node", "ts": 1}]',
    "not UTF-8": WHOLE.replace(b"a_kernel", b"\xff\xfe_kernel"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_no_profile_is_refused_in_one_sentence_with_the_remedy(kind: str) -> None:
    with pytest.raises(UserError, match=r"^not an ONNX Runtime profile \(.+\): make one with SessionOptions.enable_profiling$") as refused:
        layers(BROKEN[kind])
    assert "\n" not in str(refused.value)


def test_a_profile_without_enough_runs_is_refused() -> None:
    with pytest.raises(UserError, match="no run beyond the first 0"):
        layers(b"[]")
    with pytest.raises(UserError, match="no run beyond the first 1: profile more runs"):
        layers(WHOLE, skip_runs=1)


def test_a_profile_recorded_here_counts_a_loop_and_an_if_once(tmp_path: Path) -> None:
    import onnxruntime

    inner = helper.make_graph(
        [node("Identity", "going", "still", name="in_loop_1"), node("Add", "state x", "next", name="in_loop_2")],
        "body",
        [value("i", (), TensorProto.INT64), value("going", (), TensorProto.BOOL), value("state")],
        [value("still", (), TensorProto.BOOL), value("next")],
    )
    nodes = [
        node("Loop", "trips start x", "h", body=inner, name="the loop"),
        node(
            "If",
            "start",
            "r",
            then_branch=body("then", [node("Exp", "h", "t", name="in_if")], [value("t")]),
            else_branch=body("else", [node("Neg", "h", "e", name="not taken")], [value("e")]),
            name="the if",
        ),
        node("MatMul", "r w", "y", name="größe/<b>"),
    ]
    held = {"trips": np.int64(5), "start": np.bool_(True), "w": np.eye(8, dtype=np.float32)}
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.enable_profiling, options.profile_file_prefix = True, str(tmp_path / "trace")
    session = onnxruntime.InferenceSession(model(nodes, held).SerializeToString(), options, providers=["CPUExecutionProvider"])
    for _ in range(4):
        session.run(None, {"x": np.zeros((2, 4, 8), np.float32)})
    recorded = Path(session.end_profiling()).read_bytes()
    found = layers(recorded, skip_runs=1)
    assert {(layer.name, layer.type, layer.calls) for layer in found} == {
        ("the loop", "Loop", 1),
        ("the if", "If", 1),
        ("größe/<b>", "MatMul", 1),
    }
    assert sum(layer.share for layer in found) == pytest.approx(1)
    events = json.loads(recorded)
    assert {"in_loop_2_kernel_time", "in_if_kernel_time"} <= {event["name"] for event in events}, "so there was something to count twice"
    assert sum(layer.mean_us or 0 for layer in found) <= max(event["dur"] for event in events if event["name"] == "model_run")


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus of recorded profiles is not beside this checkout")
@pytest.mark.parametrize("name", ["cnn", "cnn_noopt", "loop"])
def test_recorded_profiles_are_counted_once_and_add_up(name: str) -> None:
    (path,) = CORPUS.glob(f"onnxruntime_*_profile_{name}.json")
    found = layers(path.read_bytes(), skip_runs=1)
    assert [layer.rank for layer in found] == list(range(1, len(found) + 1))
    assert sum(layer.share for layer in found) == pytest.approx(1)
    events = json.loads(path.read_bytes())
    runs = [event["dur"] for event in events if event["name"] == "model_run"][1:]
    assert sum(layer.mean_us or 0 for layer in found) <= np.mean(runs)
    operators = Counter(layer.type for layer in found)
    assert (operators == {"Loop": 1}) == (name == "loop")


def test_a_trace_that_is_read_as_a_file_leaves_out_its_first_run(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_bytes(trace(kernel("a", 1, 80), run(0, 90), kernel("a", 101, 10), run(100, 30)))
    found = read_file([tmp_path / "t.json"])
    assert (found.layers[0].mean_us, found.latency_us, found.runs) == (10, 30, 1)
    assert found.notes == ("the first run of the trace is left out as its warm-up",)


def test_a_convolution_and_a_product_have_bytes_and_operations() -> None:
    shapes = {"input_type_shape": [{"float": [1, 8, 4, 4]}, {"float": [16, 4, 3, 3]}], "output_type_shape": [{"float": [1, 16, 4, 4]}]}
    event = kernel("c", 1, 10, "Conv")
    event["args"] |= shapes
    found = read(event, run(0, 50))["c"]
    assert (found.operations, found.bytes_read, found.bytes_written) == (2 * 256 * 4 * 9, (128 + 576) * 4, 256 * 4)
