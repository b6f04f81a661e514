"""A pass that picks rows early, checked: the whole contract, what shapes are left, and a product with something behind it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.variants.graphs import WIDTH, copy, model, node, value
from tests.variants.pass_contract import PASSES, broken, setting, small_feeds
from variants.passes.select_early import select_early

TIME = ("batch", "time", WIDTH)
WEIGHT = np.random.default_rng(5).normal(size=(WIDTH, WIDTH)).astype(np.float32)


def moved(before: onnx.ModelProto) -> tuple[onnx.ModelProto, int]:
    """After the pass, the whole contract checked."""
    assert broken(PASSES["select_early"], before, small_feeds(before), setting(before)) == ""
    return select_early.run(copy(before))


def dims(graph: onnx.ModelProto) -> dict[str, list[int | str]]:
    """Shapes of what nodes make, by the node."""
    known = onnx.shape_inference.infer_shapes(graph, strict_mode=True, data_prop=True).graph
    shapes = {one.name: [d.dim_value or d.dim_param for d in one.type.tensor_type.shape.dim] for one in (*known.value_info, *known.output)}
    return {made.name: shapes.get(made.output[0], []) for made in graph.graph.node}


def chain(*nodes: onnx.NodeProto, index: Any = 0, axis: int = 1, opset: int = 17, **held: Any) -> onnx.ModelProto:
    """x [batch, 4, 8] -> h by a product, `nodes` make z of it -> y = the rows `index` of z along `axis`, of a shape that onnx infers."""
    made = [node("MatMul", "x weight", "h"), *nodes, node("Gather", "z index", "y", axis=axis)]
    held = {"weight": WEIGHT, "index": np.array(index, np.int64)} | held
    graph = model([*made, node("Identity", "x", "same")], held, outputs=[value("same")], opset=opset)
    graph.graph.output.append(onnx.shape_inference.infer_shapes(_with_output(graph), data_prop=True).graph.output[-1])
    return graph


def _with_output(graph: onnx.ModelProto) -> onnx.ModelProto:
    made = copy(graph)
    made.graph.output.append(helper.make_empty_tensor_value_info("y"))
    made.graph.output[-1].type.tensor_type.elem_type = TensorProto.FLOAT
    return made
