"""Small ONNX graphs: name what a test is about, the rest is filled in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from variants.variant import Array, Tensors

WIDTH = 8
SHAPE = ("batch", 4, WIDTH)
Dims = Sequence[int | str]


def node(op: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    """Tensor names separated by blanks; the node is named after its first output."""
    first = outputs.split()[0]
    return helper.make_node(op, inputs.split(), outputs.split(), name=attributes.pop("name", f"make_{first}"), **attributes)


def value(name: str, shape: Dims = SHAPE, dtype: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, list(shape))


def model(
    nodes: Iterable[onnx.NodeProto],
    constants: Mapping[str, Any] | None = None,
    inputs: Sequence[onnx.ValueInfoProto] = (value("x"),),
    outputs: Sequence[onnx.ValueInfoProto] = (value("y"),),
    opset: int = 13,
) -> onnx.ModelProto:
    """x -> y, both float32 [batch, 4, 8], unless said otherwise; Python floats become float32."""
    stored = [numpy_helper.from_array(_array(constant), name) for name, constant in (constants or {}).items()]
    graph = helper.make_graph(list(nodes), "graph", list(inputs), list(outputs), stored)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(made, full_check=True)
    return made


def _array(constant: Any) -> Array:
    array = np.asarray(constant)
    return array.astype(np.float32) if array.dtype == np.float64 and not isinstance(constant, np.ndarray) else array


def body(name: str, nodes: Iterable[onnx.NodeProto], outputs: Sequence[onnx.ValueInfoProto]) -> onnx.GraphProto:
    """A branch of an If: no inputs of its own."""
    return helper.make_graph(list(nodes), name, [], list(outputs))


@dataclass(frozen=True, slots=True)
class Norm:
    """One LayerNorm in the nine nodes that torch writes at opset 13; every field is one way in which it may differ."""

    source: str = "x"
    output: str = "y"
    axes: tuple[int, ...] = (-1,)
    keepdims: int = 1
    square: str = "Pow"
    swapped: bool = False
    axes_are_inputs: bool = False
    named: bool = True
    weights: str = ""

    def nodes(self) -> list[onnx.NodeProto]:
        p = f"{self.output}_"
        squared = f"{p}c two" if self.square == "Pow" else f"{p}c {p}c"
        made = [
            self._mean(self.source, f"{p}mean"),
            node("Sub", f"{self.source} {p}mean", f"{p}c"),
            node(self.square, squared, f"{p}squared"),
            self._mean(f"{p}squared", f"{p}variance"),
            node("Add", self._either(f"{p}variance", "epsilon"), f"{p}shifted"),
            node("Sqrt", f"{p}shifted", f"{p}deviation"),
            node("Div", f"{p}c {p}deviation", f"{p}unit"),
            node("Mul", self._either(f"{p}unit", f"{self.weights}scale"), f"{p}scaled"),
            node("Add", self._either(f"{p}scaled", f"{self.weights}bias"), self.output),
        ]
        for one in made:
            one.name = one.name if self.named else ""
        return made

    def _mean(self, source: str, output: str) -> onnx.NodeProto:
        if self.axes_are_inputs:
            return node("ReduceMean", f"{source} axes", output, keepdims=self.keepdims)
        return node("ReduceMean", source, output, axes=list(self.axes), keepdims=self.keepdims)

    def _either(self, tensor: str, constant: str) -> str:
        return f"{constant} {tensor}" if self.swapped else f"{tensor} {constant}"


def affine(width: int = WIDTH) -> dict[str, Any]:
    """Constants of a Norm whose scale and bias tell every channel from the others."""
    return {
        "two": np.float32(2),
        "epsilon": np.float32(1e-5),
        "scale": np.linspace(0.5, 2, width, dtype=np.float32),
        "bias": np.linspace(-1, 1, width, dtype=np.float32),
    }


def layernorm(norm: Norm | None = None, opset: int = 13, shape: Dims = SHAPE, **constants: Any) -> onnx.ModelProto:
    """A model that is one decomposed LayerNorm; `constants` replace its own."""
    norm = norm or Norm()
    held = affine() | ({"axes": np.array(norm.axes, np.int64)} if norm.axes_are_inputs else {}) | constants
    used = {name for made in norm.nodes() for name in made.input}
    return model(norm.nodes(), {name: held[name] for name in held if name in used}, [value("x", shape)], [value("y", shape)], opset=opset)


def with_nodes(
    norm: Norm, *more: onnx.NodeProto, outputs: tuple[onnx.ValueInfoProto, ...] = (value("y"),), **constants: Any
) -> onnx.ModelProto:
    """A LayerNorm and what else reads of it."""
    return model([*norm.nodes(), *more], affine() | constants, outputs=outputs)


def loop(constants: Mapping[str, Any] | None = None) -> onnx.ModelProto:
    """y = x doubled three times, in a Loop."""
    inner = helper.make_graph(
        [node("Identity", "going", "still"), node("Add", "state state", "doubled")],
        "body",
        [value("i", (), TensorProto.INT64), value("going", (), TensorProto.BOOL), value("state")],
        [value("still", (), TensorProto.BOOL), value("doubled")],
    )
    held = {"trips": np.int64(3), "start": np.bool_(True)} | dict(constants or {})
    return model([node("Loop", "trips start x", "y", body=inner)], held)


def branch(
    then: Iterable[onnx.NodeProto], otherwise: Iterable[onnx.NodeProto], before: Iterable[onnx.NodeProto] = (), **more: Any
) -> onnx.ModelProto:
    """y by an If on the sum of x; the branches write "t" and "e"."""
    nodes = [
        *before,
        node("ReduceSum", "x", "sum", keepdims=0),
        node("Greater", "sum nought", "positive"),
        node(
            "If",
            "positive",
            "y",
            then_branch=body("then", then, [value("t")]),
            else_branch=body("else", otherwise, [value("e")]),
        ),
    ]
    return model(nodes, {"nought": np.float32(0)} | more)


def run(graph: onnx.ModelProto, feeds: Tensors) -> dict[str, Array]:
    """All outputs by name, by ONNX Runtime without optimisations of its own."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feeds)), strict=True))


def feeds(graph: onnx.ModelProto, batch: int, seed: int = 0) -> dict[str, Array]:
    """Normal float32 values for every input, its named dimensions being `batch`."""
    draw = np.random.default_rng(seed)
    shapes = {i.name: [d.dim_value or batch for d in i.type.tensor_type.shape.dim] for i in graph.graph.input}
    return {name: draw.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def equal_outputs(before: onnx.ModelProto, after: onnx.ModelProto, atol: float = 1e-5) -> None:
    """Assert that both compute the same, at two batch sizes."""
    for batch in (1, 3):
        given = feeds(before, batch, seed=batch)
        for name, array in run(before, given).items():
            np.testing.assert_allclose(run(after, given)[name], array, 1e-4, atol)


def operators(graph: onnx.ModelProto) -> list[str]:
    return [made.op_type for made in graph.graph.node]


def opset(graph: onnx.ModelProto) -> int:
    return next(int(entry.version) for entry in graph.opset_import if entry.domain in ("", "ai.onnx"))


def copy(graph: onnx.ModelProto) -> onnx.ModelProto:
    copied = onnx.ModelProto()
    copied.CopyFrom(graph)
    return copied


def small_graphs() -> dict[str, onnx.ModelProto]:
    """Graphs that differ in kind, each valid and each to be left equal in what it computes by every pass."""
    second = {"second_scale": np.full(WIDTH, 3, np.float32), "second_bias": np.ones(WIDTH, np.float32)}
    chained = [*Norm(output="h").nodes(), *Norm(source="h", weights="second_").nodes()]
    shared = [*Norm(output="h").nodes(), *Norm(source="h").nodes()]
    weight = np.random.default_rng(1).normal(size=(WIDTH, WIDTH)).astype(np.float32)
    shape = {
        "first": np.array([0], np.int64),
        "rest": np.array([32], np.int64),
        "back": np.array([0, 4, WIDTH], np.int64),
        "axis": np.int64(0),
    }
    reshaping = [
        node("Shape", "x", "shape"),
        node("Gather", "shape axis", "count", axis=0),
        node("Unsqueeze", "count first", "counts"),
        node("Concat", "counts rest", "flat", axis=0),
        node("Reshape", "x flat", "flattened"),
        node("Concat", "counts sizes", "target", axis=0),
        node("Reshape", "flattened target", "y"),
    ]
    return {
        "one layernorm": layernorm(),
        "two layernorms": model(chained, affine() | second),
        "two layernorms that share their weights": model(shared, affine()),
        "nodes without names": layernorm(Norm(named=False)),
        "a graph with nothing to rewrite": model([node("Relu", "x", "y")]),
        "an identity": model([node("Identity", "x", "h"), node("Identity", "h", "y")]),
        "constants only on one side": model([node("Add", "a b", "c"), node("Mul", "x c", "y")], {"a": [1.0] * WIDTH, "b": [2.0] * WIDTH}),
        "arithmetic on shapes": model(reshaping, shape | {"sizes": np.array([4, WIDTH], np.int64)}),
        "two transposes": model([node("Transpose", "x", "h", perm=[0, 2, 1]), node("Transpose", "h", "y", perm=[0, 2, 1])]),
        "a product and a bias": model([node("MatMul", "x w", "h"), node("Add", "h b", "y")], {"w": weight, "b": weight[0]}),
        "a loop": loop(),
        "an if": branch([node("Relu", "x", "t")], [node("Add", "x x", "e")]),
        "an if around what is outside": branch(
            [node("Relu", "h", "t")], [node("Mul", "h w", "e")], [node("Exp", "x", "h")], w=np.full(WIDTH, 2, np.float32)
        ),
        "an input that nothing reads": model([node("Relu", "x", "y")], inputs=[value("x"), value("unread")]),
        "two outputs": model([node("Relu", "x", "y"), node("Exp", "y", "z")], outputs=[value("y"), value("z")]),
        "names that are not ASCII": model([node("Relu", "x", "größe<b>", name="层/ß"), node("Exp", "größe<b>", "y")]),
        "a fused layernorm": model(
            [node("LayerNormalization", "x scale bias", "y", axis=-1)], {k: affine()[k] for k in ("scale", "bias")}, opset=17
        ),
    }
