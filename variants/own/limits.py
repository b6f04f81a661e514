"""What an integer input may hold, from the nodes that read it: rows of the table it looks up, never a shape."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from variants.graph import graphs

KEPT_BYTES = 4096
"""Larger weights are not needed to infer shapes: only their own shape is."""
PLAIN = frozenset(("Cast", "Identity", "Reshape", "Unsqueeze", "Squeeze", "Flatten", "Transpose", "Expand", "Slice", "Concat", "Tile"))
LOOKUPS = {"Gather": 1, "GatherElements": 1, "GatherND": 1, "ScatterElements": 1, "ScatterND": 1, "Scatter": 1, "TensorScatter": 2}
LOSSES = ("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss")
"""Their labels count along axis 1 of what they are given."""
EMBEDDINGS = {0: 2, 1: 4, 8: 3}
"""com.microsoft EmbedLayerNormalization: which table each of its index inputs looks up."""
SHAPES = {
    (0,): "ConstantOfShape Loop EyeLike HannWindow HammingWindow BlackmanWindow",
    (1,): "Reshape Expand Tile TopK Unsqueeze Squeeze Split Trilu CumSum CumProd OneHot CenterCropPad AffineGrid Upsample SplitToSequence "
    "SequenceAt ReduceSum ReduceMean ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceSumSquare",
    (2,): "NonMaxSuppression MaxUnpool",
    (4,): "RNN GRU LSTM",
    (1, 2): "Col2Im DFT",
    (1, 3): "Pad STFT",
    (2, 3): "Resize",
    (0, 1, 2): "Range MelWeightMatrix",
    (1, 2, 3, 4): "Slice",
}
"""Inputs of operators that set shapes, axes or counts: values for them cannot be drawn at random."""
SHAPING = frozenset((operator, slot) for slots, operators in SHAPES.items() for operator in operators.split() for slot in slots)


@dataclass(frozen=True, slots=True)
class Limit:
    """Integers from `low` to `high`, both included; `shapes` names the node that takes a shape, an axis or a count from it."""

    low: int | None = None
    high: int | None = None
    shapes: str = ""


def limits(model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Limit]:
    """For each input whose values its readers bound; `shapes` are the inputs' at the sizes that are run."""
    readers: dict[str, list[tuple[onnx.NodeProto, int]]] = defaultdict(list)
    for graph in graphs(model.graph):
        for node in graph.node:
            for slot, name in enumerate(node.input):
                readers[name].append((node, slot))
    known = _shapes(model, shapes)
    found = {name: list(_bounds(name, readers, known)) for name in shapes}
    return {name: _narrowest(bounds) for name, bounds in found.items() if bounds}


def _narrowest(bounds: list[Limit]) -> Limit:
    lows = [bound.low for bound in bounds if bound.low is not None]
    highs = [bound.high for bound in bounds if bound.high is not None]
    shapes = next((bound.shapes for bound in bounds if bound.shapes), "")
    return Limit(max(lows, default=None), min(highs, default=None), shapes)


def _bounds(start: str, readers: Mapping[str, list[tuple[onnx.NodeProto, int]]], known: Mapping[str, tuple[int, ...]]) -> Iterator[Limit]:
    """One for every node that a value of `start` reaches unchanged."""
    open_, seen = [start], {start}
    while open_:
        for node, slot in readers.get(open_.pop(), ()):
            if (node.op_type, slot) in SHAPING:
                yield Limit(shapes=f"{node.op_type} '{node.name or node.output[0]}'")
            elif (table := _table(node, slot, known)) is not None:
                yield Limit(0, table - 1)
            elif node.op_type in ("Div", "Mod") and slot == 1:
                yield Limit(low=1)
            elif node.op_type == "BitShift" and slot == 1:
                yield Limit(0, 7)
            elif node.op_type in PLAIN:
                fresh = [name for name in node.output if name not in seen]
                seen.update(fresh)
                open_.extend(fresh)


def _table(node: onnx.NodeProto, slot: int, known: Mapping[str, tuple[int, ...]]) -> int | None:
    """Rows of the table that `node` looks `slot` up in, None where it does not, or where that is not known."""
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    if node.op_type == "EmbedLayerNormalization" and slot in EMBEDDINGS:
        return next(iter(known.get(node.input[EMBEDDINGS[slot]], ())), None)
    if node.op_type == "OneHot" and slot == 0:
        shape = known.get(node.output[0])
        return shape[attributes.get("axis", -1)] if shape else None
    if node.op_type in LOSSES and slot == 1:
        return next(iter(known.get(node.input[0], ())[1:]), None)
    if LOOKUPS.get(node.op_type) != slot:
        return None
    shape = known.get(node.input[0])
    if not shape:
        return None
    if node.op_type in ("GatherND", "ScatterND"):
        return min(shape[attributes.get("batch_dims", 0) :])
    return shape[attributes.get("axis", 0)] if -len(shape) <= attributes.get("axis", 0) < len(shape) else None


def _shapes(model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Of every tensor that is fixed once the inputs are."""
    graph = onnx.GraphProto(name="shapes", node=model.graph.node)
    known = dict(shapes)
    for tensor in model.graph.initializer:
        known[tensor.name] = tuple(tensor.dims)
        if tensor.ByteSize() <= KEPT_BYTES and not tensor.external_data:
            graph.initializer.append(tensor)
        elif tensor.name not in shapes:
            graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    for value in model.graph.input:
        if value.name in shapes:
            kind = value.type.tensor_type.elem_type
            graph.input.append(helper.make_tensor_value_info(value.name, kind, shapes[value.name]))
    graph.output.extend(onnx.ValueInfoProto(name=value.name) for value in model.graph.output)
    bare = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import, functions=model.functions, graph=graph)
    try:
        inferred = onnx.shape_inference.infer_shapes(bare, data_prop=True).graph
    except Exception:  # of many kinds; what it cannot infer has no limits
        return known
    for value in (*inferred.value_info, *inferred.output):
        dims = value.type.tensor_type.shape.dim
        if value.type.tensor_type.HasField("shape") and all(dim.HasField("dim_value") for dim in dims):
            known[value.name] = tuple(dim.dim_value for dim in dims)
    constants = [node for node in model.graph.node if node.op_type == "Constant" and node.attribute and node.attribute[0].HasField("t")]
    known |= {node.output[0]: np.shape(numpy_helper.to_array(node.attribute[0].t)) for node in constants}
    return known
