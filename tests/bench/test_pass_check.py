"""Passes that break the graph: each is caught where it stands, and one sentence says which, what and where."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench import pass_check, pass_numbers, pass_run
from bench.artefacts import Artefacts, Transformed
from bench.cache import Cache
from bench.pass_numbers import COARSE, FP16, FP32, difference, tolerance
from bench.phases import Phases
from common.errors import UserError
from reports.case import Case
from tests.bench.conftest import AddFile
from tests.variants.graphs import model, node

HEAD = '"""A pass."""\nimport onnx\nfrom onnx import numpy_helper\nfrom variants.graph_pass import GraphPass\n'
Through = Callable[..., Transformed]


@pytest.fixture
def through(shared_cache: Path) -> Through:
    """vit_digits through passes, of which the first declared ones have that body: through("a+b", a="...", b="...")."""
    return lambda passes: Artefacts(Cache(shared_cache)).transformed(
        Case("vit_digits", tuple(passes.split("+")), "fp32", 8, "onnxruntime"), Phases()
    )


def body(name: str, lines: str, declared: str = "") -> str:
    """A pass of one or more statements on `model` and `graph`; says one rewrite unless it returns."""
    inside = "".join(f"    {line}\n" for line in ("graph = model.graph", *lines.strip().splitlines(), "return model, 1"))
    return f"{HEAD}def run(model):\n{inside}{name} = GraphPass(run{declared})\n"


def refused(through: Through, add_file: AddFile, name: str, lines: str, declared: str = "") -> str:
    add_file("variants.passes", name, body(name, lines, declared))
    with pytest.raises(UserError) as caught:
        through(name)
    said = str(caught.value)
    assert said.startswith(f"pass {name}: ")
    assert said.endswith(f"; leave it out, or mend variants/passes/{name}.py")
    assert "\n" not in said
    return said


SOFTMAX = "node = [n for n in graph.node if n.op_type == 'Softmax'][1]\n"
SCALED = (
    SOFTMAX
    + """
half = numpy_helper.from_array(__import__('numpy').float32(0.75), 'three_quarters')
graph.initializer.append(half)
place = list(graph.node).index(node)
renamed = node.output[0] + '/kept'
for reader in graph.node:
    for i, name in enumerate(reader.input):
        if name == node.output[0]: reader.input[i] = renamed
graph.node.insert(place + 1, onnx.helper.make_node('Mul', [node.output[0], 'three_quarters'], [renamed], 'wrong'))
"""
)


def test_numbers_changed_in_the_middle_are_found_at_the_first_tensor_that_both_graphs_have(through: Through, add_file: AddFile) -> None:
    said = refused(through, add_file, "scales", SCALED)
    assert "it changed the numbers of tensor '/blocks.1/attn/MatMul_1_output_0', and so of output 'logits': off by up to " in said
    assert "where 0.0001 of the largest value is allowed" in said


def test_a_weight_changed_by_a_thousandth_is_too_much(through: Through, add_file: AddFile) -> None:
    lines = "weight = [t for t in graph.initializer if t.name.endswith('head.weight')][0]\n"
    lines += "array = numpy_helper.to_array(weight) * 1.001\nweight.CopyFrom(numpy_helper.from_array(array.astype('float32'), weight.name))"
    said = refused(through, add_file, "nudges", lines)
    assert "it changed the numbers of output 'logits': off by up to " in said


def test_a_pass_that_only_holds_for_a_batch_of_one_is_found(through: Through, add_file: AddFile) -> None:
    lines = "first = graph.node[0]\nshape = numpy_helper.from_array(__import__('numpy').array([1, -1], 'int64'), 'one_row')\n"
    lines += "graph.initializer.append(shape)\nlast = [n for n in graph.node if n.output[0] == 'logits'][0]\nlast.output[0] = 'unshaped'\n"
    lines += "graph.node.append(onnx.helper.make_node('Reshape', ['unshaped', 'one_row'], ['logits'], 'flat'))"
    said = refused(through, add_file, "flattens", lines)
    assert "output 'logits': float32 [2, 10] became float32 [1, 20]" in said


TURNED = "[n for n in graph.node if n.op_type == 'MatMul'][0].input[0] = graph.node[-1].output[0]"
RENAMED = """
graph.input[0].name = 'pixels'
for n in graph.node:
    for i, name in enumerate(n.input):
        if name == 'images': n.input[i] = 'pixels'
"""


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("del graph.node[5]", "it left an invalid graph ("),
        (TURNED, "it left an invalid graph ("),
        (SOFTMAX + "node.op_type = 'NoSuchOperator'", "it left an invalid graph ("),
        (
            SOFTMAX + "cast = graph.node.add(); cast.CopyFrom(node); node.op_type = 'Not'; del node.attribute[:]; del graph.node[-1]",
            "it left an invalid graph (",
        ),
        (
            RENAMED,
            "it removed or renamed input 'images' (there is: pixels)",
        ),
        ("graph.input.add().CopyFrom(onnx.helper.make_tensor_value_info('more', 1, [1]))", "it added input 'more'"),
        ("graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2", "input 'images' was float [free, "),
    ],
    ids=["no producer", "a cycle", "no such operator", "a wrong type", "an input renamed", "an input more", "a free dimension fixed"],
)
def test_a_graph_that_is_no_graph_any_more_is_refused(through: Through, add_file: AddFile, lines: str, words: str) -> None:
    assert words in refused(through, add_file, "spoils", lines)


def test_a_cycle_names_a_tensor_of_it(through: Through, add_file: AddFile) -> None:
    said = refused(through, add_file, "turns", TURNED)
    assert "topologically sorted" in said


def test_a_pass_that_declares_it_may_fix_the_batch_and_is_compared_there(through: Through, add_file: AddFile) -> None:
    fixes = "for value in (graph.input[0], graph.output[0]):\n    value.type.tensor_type.shape.dim[0].dim_value = 8"
    add_file("variants.passes", "fixes", body("fixes", fixes, ", changes='the batch'"))
    assert through("fixes").steps[0].declined == ()
    assert "it changed the numbers" in refused(through, add_file, "fixes_wrongly", fixes + "\n" + SCALED, ", changes='the batch'")


def test_a_dimension_of_an_output_that_no_input_has_may_be_found_out_but_the_batch_may_not(through: Through, add_file: AddFile) -> None:
    dim = "graph.output[0].type.tensor_type.shape.dim"
    add_file("variants.passes", "blurs", body("blurs", f"{dim}[1].dim_param = 'logits_dim_1'", ", changes='forgets the classes'"))
    add_file("variants.passes", "finds", body("finds", f"{dim}[1].dim_value = 10"))
    assert [step.rewrites for step in through("blurs+finds").steps] == [1, 1, 0]
    said = refused(through, add_file, "fixes", f"{dim}[0].dim_value = 2")
    assert "output 'logits' was float [free, 10] and is float [2, 10]" in said


def test_an_output_that_is_asked_for_stays_whatever_is_declared(through: Through, add_file: AddFile) -> None:
    lines = "last = [n for n in graph.node if n.output[0] == 'logits'][0]\nlast.output[0] = 'scores'\ngraph.output[0].name = 'scores'"
    said = refused(through, add_file, "renames", lines, ", changes='names'")
    assert "it removed or renamed output 'logits' (there is: scores)" in said


def test_what_the_runtime_has_no_operator_for_is_not_compared_and_that_is_said(through: Through, add_file: AddFile) -> None:
    lines = SOFTMAX + "node.op_type, node.domain = 'Nobody', 'nobody'\nmodel.opset_import.append(onnx.helper.make_opsetid('nobody', 1))"
    add_file("variants.passes", "custom", body("custom", lines))
    (sentence,) = through("custom").steps[0].declined
    assert sentence.startswith("check: ONNX Runtime's CPU has no such operator (")
    assert "nobody:Nobody" in sentence


def test_each_pass_costs_one_run_and_one_without_effect_none(through: Through, add_file: AddFile, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[Path] = []

    def counted(path: Path, *rest: object) -> object:
        runs.append(path)
        return pass_run.run(path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(pass_check, "run", counted)
    for name in ("first", "second"):
        add_file("variants.passes", name, body(name, f"graph.node[0].name = '{name}'"))
    add_file("variants.passes", "idle", body("idle", "return model, 0"))
    done = through("first+idle+second")
    assert len(runs) == 3, "the export, after the first, after the second"
    assert [step.rewrites for step in done.steps[:3]] == [1, 0, 1]
    through("first+idle+second")
    assert len(runs) == 3, "from the cache"


def test_weights_that_lie_beside_the_file_are_compared_and_searched_alike(
    tmp_path: Path, add_file: AddFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("variants.heavy.EXTERNAL_ABOVE", 1_000_000)
    artefacts = Artefacts(Cache(tmp_path))

    def through(passes: str) -> Transformed:
        return artefacts.transformed(Case("vit_digits", tuple(passes.split("+")), "fp32", 8, "onnxruntime"), Phases())

    add_file("variants.passes", "names", body("names", "graph.node[0].name = 'other'"))
    through("names")
    (data,) = (tmp_path / "pass").glob("*/artefact.data")
    assert data.stat().st_size > 1_000_000
    add_file("variants.passes", "idle", body("idle", "return model, 0"))
    through("names+idle")
    assert len(list((tmp_path / "pass").glob("*/artefact.data"))) == 2
    add_file("variants.passes", "scales_more", body("scales_more", SCALED))
    with pytest.raises(UserError, match=r"numbers of tensor '/blocks\.1/attn/MatMul_1_output_0'"):
        through("names+idle+scales_more")


@pytest.mark.parametrize(
    ("expected", "actual", "words"),
    [
        ([1.0, 100.0], [1.009, 100.0], ""),
        ([1.0, 100.0], [1.011, 100.0], "off by up to 0.011 where the largest value is 100"),
        ([np.nan, -np.inf, 1.0], [np.nan, -np.inf, 1.0], ""),
        ([0.0, 1.0], [np.nan, 1.0], "1 of 2 elements became or were NaN or infinite"),
        ([-np.inf, 1.0], [-1e9, 1.0], "1 of 2 elements became or were NaN or infinite"),
        ([0.0], [1e-11], ""),
        ([1, 2], [1, 3], "1 of 2 elements differ"),
        ([True], [False], "1 of 1 elements differ"),
        ([1.0], [1], "float64 [1] became int64 [1]"),
        ([[1.0]], [1.0], "float64 [1, 1] became float64 [1]"),
        ([], [], ""),
    ],
)
def test_numbers_are_the_same_within_a_share_of_the_largest(expected: list[float], actual: list[float], words: str) -> None:
    assert difference(np.array(expected), np.array(actual), FP32) == words


def test_what_is_allowed_follows_the_coarsest_arithmetic_of_the_graph() -> None:
    plain = model([node("Relu", "x", "y")])
    halves = model([node("Cast", "x", "h", to=10), node("Add", "h c", "i"), node("Cast", "i", "y", to=1)], {"c": np.ones(8, np.float16)})
    coarse = model([node("DynamicQuantizeLinear", "x", "q s z"), node("DequantizeLinear", "q s z", "y")])
    assert [tolerance(one) for one in (plain, halves, coarse)] == [FP32, FP16, COARSE]


def test_an_intermediate_run_that_fails_blames_the_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnx

    file = tmp_path / "m.onnx"
    onnx.save(model([node("Relu", "x", "h"), node("Exp", "h", "y")]), file)

    def fails(*_: object) -> None:
        raise pass_run.CannotRunError(ValueError("no"))

    monkeypatch.setattr(pass_numbers, "run", fails)
    assert pass_numbers.first_difference(file, file, [{}, {}], FP32) is None
