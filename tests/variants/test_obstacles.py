"""What stopped the write-ups: each graph, the pass or setting that mends it, and what NVIDIA's parser and builder say today.

docs/obstacles.md has the versions and the words of the refusals that do not come any more.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import onnx
import onnx_graphsurgeon as gs
import pytest

from tests.variants import obstacles
from tests.variants.graphs import equal_outputs, operators
from variants import find
from variants.export import export
from variants.graph import constant, with_shapes
from variants.graph_pass import GraphPass
from variants.passes.cast_booleans import MOVES, cast_booleans
from variants.passes.flat_shape_tensors import flat_shape_tensors
from variants.passes.static_reshape import static_reshape

ROOT = Path(__file__).resolve().parent.parent.parent
Ranges = dict[str, list[tuple[int, ...]]]
needs_rtx = pytest.mark.skipif(find_spec("tensorrt_rtx") is None, reason="tensorrt_rtx is not installed: pip install tensorrt-rtx")


@dataclass(frozen=True)
class Obstacle:
    """A graph, the ranges it is built over, its mend, and what TensorRT-RTX 1.7 says without the mend ("" when it takes it)."""

    graph: onnx.ModelProto
    ranges: Ranges
    mend: GraphPass
    refusal: str = ""


FLAT: Ranges = {"x": [(1, 8), (2, 64), (4, 128)]}
MAPS: Ranges = {"x": [(1, 4, 8, 8), (2, 4, 16, 12), (4, 4, 32, 32)]}
OBSTACLES = {
    "Not and Slice on a mask": Obstacle(obstacles.sliced_mask(), FLAT, cast_booleans),
    "Gather, Expand and Tile on a mask": Obstacle(obstacles.widened_mask(), FLAT, cast_booleans),
    "a Pad of amounts in a matrix": Obstacle(obstacles.padded(), FLAT, flat_shape_tensors),
    "a Pad of amounts chosen in a matrix": Obstacle(
        obstacles.padded(*obstacles.LIMIT), FLAT, flat_shape_tensors, "selectNode.cpp::symbolicExecute::83] Error Code 2: Internal Error"
    ),
    "a grouped convolution behind -1": Obstacle(obstacles.grouped(), MAPS, static_reshape),
}
every_obstacle = pytest.mark.parametrize("name", OBSTACLES)
WENET: Ranges = {"speech": [(1, 7, 80), (4, 300, 80), (8, 1200, 80)], "speech_lengths": [(1,), (4,), (8,)]}
ATTENTION: Ranges = {"x": [(1, 4, 16), (4, 32, 16), (16, 512, 16)]}


def mended(name: str) -> onnx.ModelProto:
    after, rewrites = OBSTACLES[name].mend.run(OBSTACLES[name].graph)
    assert rewrites > 0
    return after


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> onnx.ModelProto:
    """WeNet's encoder, raw, its batch and frames free."""
    path = tmp_path_factory.mktemp("wenet") / "model.onnx"
    export(find.find("wenet_encoder").value, path)
    return onnx.load(path)


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory, encoder: onnx.ModelProto) -> dict[str, tuple[str, list[str]]]:
    """What TensorRT-RTX said of every graph, all in one process of its own: (refusal or "", warnings)."""
    folder = tmp_path_factory.mktemp("rtx")
    asked = {name: (one.graph, one.ranges) for name, one in OBSTACLES.items()}
    asked |= {f"{name}, mended": (mended(name), one.ranges) for name, one in OBSTACLES.items()}
    asked |= {
        "several dynamic dimensions": (obstacles.attention(), ATTENTION),
        "no dynamic dimension": (obstacles.attention(fixed=True), {}),
        "WeNet's encoder": (encoder, WENET),
        "WeNet's encoder, mended": (flat_shape_tensors.run(cast_booleans.run(encoder)[0])[0], WENET),
    }
    request, answer, files = folder / "request.json", folder / "answer.json", {}
    for number, (name, (graph, ranges)) in enumerate(asked.items()):
        onnx.save(graph, folder / f"{number}.onnx")
        files[name] = (str(folder / f"{number}.onnx"), ranges)
    request.write_text(json.dumps(files))
    command = [sys.executable, "-m", "tests.variants.rtx_probe", str(request), str(answer)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    return {name: (refusal, warnings) for name, (refusal, warnings) in json.loads(answer.read_text()).items()}


@every_obstacle
def test_the_mended_graph_is_valid_and_computes_what_it_did(name: str) -> None:
    after = mended(name)
    onnx.checker.check_model(after, full_check=True)
    equal_outputs(OBSTACLES[name].graph, after)


@needs_rtx
@every_obstacle
def test_nvidias_parser_says_of_the_graph_what_is_written_down(name: str, answers: dict[str, tuple[str, list[str]]]) -> None:
    refusal, _ = answers[name]
    expected = OBSTACLES[name].refusal
    assert expected in refusal
    assert bool(refusal) == bool(expected), refusal


@needs_rtx
@every_obstacle
def test_nvidias_parser_takes_the_mended_graph(name: str, answers: dict[str, tuple[str, list[str]]]) -> None:
    assert answers[f"{name}, mended"] == ("", [])


def moved_booleans(model: onnx.ModelProto) -> int:
    graph = gs.import_onnx(with_shapes(model))
    return sum(node.op in MOVES and node.inputs[0].dtype == bool for node in graph.nodes)


@pytest.mark.parametrize(("name", "moves"), [("Not and Slice on a mask", 2), ("Gather, Expand and Tile on a mask", 3)])
def test_no_boolean_is_moved_any_more_and_a_chain_is_cast_once(name: str, moves: int) -> None:
    after = mended(name)
    assert moved_booleans(OBSTACLES[name].graph) == moves
    assert moved_booleans(after) == 0
    assert operators(after).count("Cast") - operators(OBSTACLES[name].graph).count("Cast") == 2


def ranks_behind_pads(model: onnx.ModelProto) -> list[int]:
    """The ranks of all that the amounts of every Pad are made of."""
    graph = gs.import_onnx(with_shapes(model))
    found, todo = [], [node.inputs[1] for node in graph.nodes if node.op == "Pad"]
    while todo:
        tensor = todo.pop()
        if constant(tensor) is None and tensor.inputs and tensor.inputs[0].op != "Shape":
            found.append(len(tensor.shape or ()))
            todo += tensor.inputs[0].inputs
    return found


@pytest.mark.parametrize("name", [name for name in OBSTACLES if "Pad" in name])
def test_no_matrix_is_left_behind_a_pad(name: str) -> None:
    assert max(ranks_behind_pads(OBSTACLES[name].graph)) == 2
    assert max(ranks_behind_pads(mended(name))) == 1


def test_the_channels_of_a_grouped_convolution_are_written_in_its_reshape() -> None:
    graph = gs.import_onnx(mended("a grouped convolution behind -1"))
    (convolution,) = [node for node in graph.nodes if node.op == "Conv"]
    sizes = convolution.inputs[0].inputs[0].inputs[1].inputs[0].inputs
    channels = constant(sizes[1])
    assert channels is not None
    assert channels.tolist() == [8]


def test_the_encoder_meets_two_of_the_obstacles_and_two_passes_take_them_away(encoder: onnx.ModelProto) -> None:
    assert moved_booleans(encoder) == 2
    assert max(ranks_behind_pads(encoder)) == 2
    after, casts = cast_booleans.run(encoder)
    after, flattened = flat_shape_tensors.run(after)
    assert (casts, flattened) == (2, 2)
    assert moved_booleans(after) == 0
    assert max(ranks_behind_pads(after)) == 1


@needs_rtx
@pytest.mark.parametrize("name", ["WeNet's encoder", "WeNet's encoder, mended", "several dynamic dimensions", "no dynamic dimension"])
def test_nvidias_parser_takes_dynamic_batch_and_frames_in_one_region(name: str, answers: dict[str, tuple[str, list[str]]]) -> None:
    """TensorRT 8.0 to 8.5 warned of a region with several dynamic values, and some had no implementation."""
    refusal, warnings = answers[name]
    assert refusal == ""
    assert not any("multiple dynamic values" in warning for warning in warnings)


def test_the_setting_static_leaves_no_dynamic_dimension(tmp_path: Path) -> None:
    """The mend of several dynamic dimensions in one region: `wenet_encoder:tiny:static`."""
    export(find.find("wenet_encoder:tiny:static").value, tmp_path / "model.onnx", 4)
    dims = {
        v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in onnx.load(tmp_path / "model.onnx").graph.input
    }
    assert dims == {"speech": [4, 300, 80], "speech_lengths": [4]}
