"""Which nodes are kept or lowered together."""

from __future__ import annotations

import onnx

from bench.tune.units import blocks, inside, units
from tests.bench.tune.made import WIDTH, network
from variants.lowering.keep import named


def test_every_module_with_weights_is_a_unit_with_all_its_nodes() -> None:
    found = units(network(2))
    assert [unit.label for unit in found] == ["/blocks.0/fc1", "/blocks.0/fc2", "/blocks.1/fc1", "/blocks.1/fc2"]
    assert found[0].nodes == {"/blocks.0/fc1/MatMul"}
    assert found[0].weight == 2 * WIDTH * WIDTH


def test_blocks_are_the_repeated_modules_and_hold_their_units() -> None:
    model = network(3)
    found = blocks(model)
    assert [block.label for block in found] == ["/blocks.0", "/blocks.1", "/blocks.2"]
    assert len(found[1].nodes) == 5
    assert [unit.label for unit in inside(found[1], units(model))] == ["/blocks.1/fc1", "/blocks.1/fc2"]


def test_a_weight_outside_of_any_repeated_module_is_a_block_of_its_own() -> None:
    model = network(2)
    model.graph.node[5].name, model.graph.node[6].name = "/neck/norm/LayerNormalization", "/neck/fc1/MatMul"
    assert [block.label for block in blocks(model)] == ["/blocks.0", "/neck/fc1", "/blocks.1"]


def test_without_modules_in_the_names_blocks_lie_between_the_tensors_that_all_data_passes() -> None:
    model = named(network(3, named=False))
    found = blocks(model)
    assert [sorted(block.nodes) for block in found] == [
        sorted(node.name for node in model.graph.node[start : start + 5]) for start in (0, 5, 10)
    ]
    assert [unit.label for unit in units(model)] == [node.name for node in model.graph.node if node.op_type == "MatMul"]


def test_products_of_two_activations_have_no_weights() -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 9, opset_import: ["": 17]> m (float[b, 4, 4] x) => (float[b, 4, 4] y) { y = MatMul (x, x) }'
    )
    assert units(named(model)) == ()
