"""Floats of 16 bits: weights and activations in fp16 or bf16, inputs and outputs of the model in fp32 as they were.

Our own because ONNX Runtime's tool knows fp16 alone, casts to it and back between two nodes that stay in fp32 (where the
squares of a LayerNorm overflow after all), and leaves the scales of Q/DQ in fp32. Which inputs of an operator may be of the
type is read from ONNX's own operator schemas, so that it holds for every operator and opset.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, defs, helper, numpy_helper

from variants.functions import NAMESPACE
from variants.graph import graphs, shaped, with_opset
from variants.heavy import exported, set_aside
from variants.lowering.keep import Keep, named
from variants.matching.layernorm import find
from variants.passes.fuse_layernorm import fuse_layernorm
from variants.variant import Array

NAMES: dict[int, str] = {TensorProto.FLOAT16: "fp16", TensorProto.BFLOAT16: "bf16"}
OPERATOR_OPSET = 17
STATISTICS = "statistics"
CODED = ("QuantizeLinear", "DequantizeLinear")
CODED_OPSET = 19
"""Scales of Q/DQ may be of 16 bits since then."""
DRAWN = ("EyeLike", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli", "Range")
"""Their output's type is an attribute, or counts what 11 bits cannot."""
WEIGHTED = ("MatMul", "Gemm", "Conv", "Gather")
"""Floats behind these are activations, whatever they were made from."""
INTEGERS = (TensorProto.INT64, TensorProto.INT32, TensorProto.INT16, TensorProto.INT8, TensorProto.UINT8, TensorProto.BOOL)


def to_low_float(model: onnx.ModelProto, dtype: int, keep: Keep, statistics: bool = False) -> onnx.ModelProto:
    """`model` in `dtype` (TensorProto.FLOAT16 or BFLOAT16) but for the nodes called `keep`, which read and write fp32.

    Kept as well: a LayerNorm that is written out, whose squares overflow fp16 on outlying activations (NVIDIA/TensorRT
    issues 2564 and 4493), unless `statistics` is given - the operator has statistics in fp32 by itself; nodes with bodies;
    arithmetic on sizes; operators that ONNX does not define for the type. Values beyond the type's range are set to its ends.
    """
    model = named(model)
    if any(node.op_type in CODED for node in model.graph.node):
        model = exported(with_opset(shaped(model), CODED_OPSET))
    if not statistics:
        model, written_out = _normalised(model, keep)
        keep |= written_out
    return _Lowering(model, dtype, keep).result()


def _normalised(model: onnx.ModelProto, keep: Keep) -> tuple[onnx.ModelProto, Keep]:
    """The model, and the nodes of its LayerNorms that are written out.

    Where ONNX has the operator they become it: from opset 17 on, onnxruntime 1.31 makes an operator of two element types of
    nodes in fp32 behind a Cast, and refuses its own graph.
    """
    graph = shaped(model)
    nodes = {node.name for match in find(graph) for node in match.nodes}
    if graph.opset >= OPERATOR_OPSET and not nodes & keep:
        model, _ = fuse_layernorm.run(model)
        nodes = {node.name for match in find(shaped(model)) for node in match.nodes}
    return model, frozenset(nodes)


@dataclass(frozen=True, slots=True)
class _Low:
    """A node that is lowered, and which of its inputs and outputs are."""

    read: frozenset[int]
    made: frozenset[int]


class _Lowering:
    """One conversion. A tensor's fp32 form keeps its name, its low form has `suffix`; whoever writes one, readers get theirs by a Cast."""

    def __init__(self, model: onnx.ModelProto, dtype: int, keep: Keep) -> None:
        self.model, self.dtype = onnx.ModelProto(), dtype
        self.model.CopyFrom(model)
        self.graph = self.model.graph
        self.suffix = f"/{NAMES[dtype]}"
        self.types = _types(model)
        self.opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 1)
        self.constants = _constants(self.graph)
        # Our kernels take 16 bits as they take 32, and their functions are of any type.
        self.functions = {(function.domain, function.name) for function in model.functions if function.domain != NAMESPACE}
        self.kept = keep | _size_arithmetic(self.graph, self.types, self.constants.keys())
        self.low = {node.name: low for node in self.graph.node if (low := self._lowered(node)) is not None}
        self.wanted = {node.input[place] for node in self.graph.node if node.name in self.low for place in self.low[node.name].read}
        self.high = self._read_high()

    def result(self) -> onnx.ModelProto:
        """The converted model."""
        nodes = [cast for value in self.graph.input if value.name not in self.constants for cast in self._to_low(value.name)]
        for node in self.graph.node:
            if node.op_type == "Constant" and node.output[0] in self.constants:
                continue
            outputs, low = list(node.output), self.low.get(node.name)
            if low is not None:
                self._rename(node, low)
            nodes.append(node)
            for place, name in enumerate(outputs):
                nodes += self._to_high(name) if low is not None and place in low.made else self._to_low(name)
        nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
        del self.graph.node[:], self.graph.value_info[:]
        self.graph.node.extend(nodes)
        self._store()
        return self.model

    def _lowered(self, node: onnx.NodeProto) -> _Low | None:
        bodies = any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute)
        if node.name in self.kept or bodies or node.op_type in DRAWN or (node.domain, node.op_type) in self.functions:
            return None
        constant = node.op_type == "Constant" and node.output[0] in self.constants
        if constant or (node.op_type in CODED and not self._holds(node.input[1])):
            return None
        schema = None
        if node.domain in ("", "ai.onnx") and defs.has(node.op_type, domain="", max_inclusive_version=self.opset):
            schema = defs.get_schema(node.op_type, self.opset, "")
        read = self._places(node.input, schema.inputs if schema else None)
        made = self._places(node.output, schema.outputs if schema else None)
        return _Low(read, made) if read or made else None

    def _places(self, names: Sequence[str], formal: Sequence[defs.OpSchema.FormalParameter] | None) -> frozenset[int]:
        """Which of `names` are float32 and may be of the low type; all that are float32 where ONNX has no such operator."""
        floats = [place for place, name in enumerate(names) if self.types.get(name) == TensorProto.FLOAT]
        if formal is None:
            return frozenset(floats)
        wanted = _tensor_type(self.dtype)
        return frozenset(place for place in floats if wanted in formal[min(place, len(formal) - 1)].types)

    def _holds(self, scale: str) -> bool:
        """Whether the type holds a scale without loss of digits: below its normal numbers they go."""
        values = self.constants.get(scale)
        if values is None or self.dtype == TensorProto.BFLOAT16:
            return True
        return bool((np.abs(numpy_helper.to_array(values)) >= np.finfo(np.float16).tiny).all())

    def _read_high(self) -> set[str]:
        """The tensors that anything reads in fp32: kept nodes, bodies, outputs."""
        found = {value.name for value in self.graph.output}
        for graph in list(graphs(self.graph))[1:]:
            found |= {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
        for node in self.graph.node:
            low = self.low[node.name].read if node.name in self.low else ()
            found |= {name for place, name in enumerate(node.input) if place not in low}
        return found

    def _rename(self, node: onnx.NodeProto, low: _Low) -> None:
        for place in low.read:
            node.input[place] += self.suffix
        for place in low.made:
            node.output[place] += self.suffix
        for attribute in node.attribute if low.made else ():
            if node.op_type == "Cast" and attribute.name == "to":
                attribute.i = self.dtype
            elif node.op_type == "ConstantOfShape" and attribute.name == "value":
                attribute.t.CopyFrom(self._converted(attribute.t, ""))

    def _to_high(self, name: str) -> Iterator[onnx.NodeProto]:
        if name in self.high:
            yield helper.make_node("Cast", [name + self.suffix], [name], f"{name}/to_fp32", to=TensorProto.FLOAT)

    def _to_low(self, name: str) -> Iterator[onnx.NodeProto]:
        if name in self.wanted:
            yield helper.make_node("Cast", [name], [name + self.suffix], f"{name}/to_{NAMES[self.dtype]}", to=self.dtype)

    def _store(self) -> None:
        """Constants in the forms that are read."""
        others = [tensor for tensor in self.graph.initializer if tensor.name not in self.constants]
        high = [tensor for name, tensor in self.constants.items() if name in self.high]
        low = [self._converted(tensor, name + self.suffix) for name, tensor in self.constants.items() if name in self.wanted]
        kept = [onnx.TensorProto.FromString(tensor.SerializeToString()) for tensor in (*others, *high)]
        del self.graph.initializer[:]
        self.graph.initializer.extend([*kept, *low])

    def _converted(self, tensor: onnx.TensorProto, name: str) -> onnx.TensorProto:
        kind = helper.tensor_dtype_to_np_dtype(self.dtype)
        return numpy_helper.from_array(_within(numpy_helper.to_array(tensor), self.dtype).astype(kind), name)


def _types(model: onnx.ModelProto) -> dict[str, int]:
    """The element types of the main graph's tensors."""
    light, _ = set_aside(model)
    graph = onnx.shape_inference.infer_shapes(light).graph
    found = {tensor.name: int(tensor.data_type) for tensor in graph.initializer}
    return found | {value.name: int(value.type.tensor_type.elem_type) for value in (*graph.input, *graph.value_info, *graph.output)}


def _constants(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    """The float32 ones, by name: initializers that are no inputs, and what Constant nodes hold."""
    inputs = {value.name for value in graph.input}
    held = [(tensor.name, tensor) for tensor in graph.initializer if tensor.name not in inputs]
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
            named = onnx.TensorProto()
            named.CopyFrom(node.attribute[0].t)
            named.name = node.output[0]
            held.append((node.output[0], named))
    return {name: tensor for name, tensor in held if tensor.data_type == TensorProto.FLOAT}


def _size_arithmetic(graph: onnx.GraphProto, types: dict[str, int], constants: Collection[str]) -> Keep:
    """Nodes between integers and integers: sizes above 2,048 are not exact in 16 bits."""
    makers = {name: node for node in graph.node for name in node.output if name not in constants}
    found: set[str] = set()
    for node in graph.node:
        target = next((attribute.i for attribute in node.attribute if attribute.name == "to"), 0)
        if node.op_type == "Cast" and target in INTEGERS and types.get(node.input[0]) == TensorProto.FLOAT:
            found |= _from_integers(node, makers, types, constants)
    return frozenset(found)


def _from_integers(node: onnx.NodeProto, makers: dict[str, onnx.NodeProto], types: dict[str, int], constants: Collection[str]) -> set[str]:
    """The nodes of floats that `node` reads from, itself included, if they come of integers and constants alone; else none."""
    found, waiting = {node.name}, [node]
    while waiting:
        for name in waiting.pop().input:
            maker = makers.get(name)
            if types.get(name) != TensorProto.FLOAT or name in constants or (maker is not None and maker.name in found):
                continue
            if maker is None or maker.op_type in WEIGHTED:
                return set()
            found.add(maker.name)
            waiting.append(maker)
    return found


def _within(values: Array, dtype: int) -> Array:
    """Finite values stay finite; in fp16 what is not zero stays so (an epsilon under a root)."""
    largest = float(np.finfo(np.float16).max) if dtype == TensorProto.FLOAT16 else 3.3895313892515355e38
    inside = np.where(np.isfinite(values), np.clip(values, -largest, largest), values)
    if dtype == TensorProto.BFLOAT16:
        return inside
    least = float(np.finfo(np.float16).smallest_subnormal)
    return np.where((inside != 0) & (np.abs(inside) < least), np.copysign(least, inside), inside)


def _tensor_type(dtype: int) -> str:
    return f"tensor({helper.tensor_dtype_to_string(dtype).removeprefix('TensorProto.').lower()})"
