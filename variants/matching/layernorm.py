"""Find LayerNorm where an exporter wrote it out: the nine nodes of torch below opset 17, and its other forms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs
from onnx import TensorProto, helper

from variants.explain import decline
from variants.graph import constant
from variants.matching.layernorm_parts import Centred, NearMiss, axes_of, element, onward, producer, readers, sizes, squared, uncast
from variants.matching.layernorm_tail import Tail, end_of

HALVES = (TensorProto.FLOAT16, TensorProto.BFLOAT16)


@dataclass(frozen=True, slots=True)
class LayerNorm:
    """One match: y = (x - mean(x)) / sqrt(mean((x - mean(x))^2) + epsilon) * scale + bias over `axis` to the last.

    `axis` is negative; `scale` and `bias` have the shape of the normalised axes and the element type of `source` and `output`,
    `bias` is None where there is none; `nodes` are all that it is made of, the one that writes `output` last.
    """

    source: gs.Tensor
    output: gs.Tensor
    scale: gs.Tensor
    bias: gs.Tensor | None
    epsilon: float
    axis: int
    nodes: tuple[gs.Node, ...]


def find(graph: gs.Graph) -> Iterator[LayerNorm]:
    """Every LayerNorm written out in the main graph, by structure alone; near misses are declined with the reason.

    Known forms: the square by Pow or Mul; x - mean computed once or twice; the root by Sqrt or Pow; division by it, or
    multiplication by its reciprocal; scale and bias before or after, or neither; TensorFlow's x * r + (bias - mean * r); Casts
    between. What something else reads too, other axes, and parts inside a body are left out.
    """
    here = {id(node) for node in graph.nodes}
    outputs = {id(tensor) for tensor in graph.outputs}
    for node in list(graph.nodes):
        base = squared(node) if node.op == "ReduceMean" else None
        if base is None:
            continue
        try:
            match = _match(node, base, outputs)
            if match is not None:
                _closed(match, here, outputs)
                yield match
        except NearMiss as near:
            decline(near.where, near.why)


def _match(variance: gs.Node, base: gs.Tensor, outputs: set[int]) -> LayerNorm | None:
    sub = producer(uncast(base))
    centred = Centred.of(sub) if sub is not None and sub.op == "Sub" else None
    if centred is None:
        _say_what_it_is(variance)
        return None
    if axes_of(variance) != centred.axes:
        raise NearMiss(variance.outputs[0].name, "the mean and the variance are over different axes")
    found = end_of(variance, centred, outputs)
    if found is None:
        raise NearMiss(variance.outputs[0].name, "a variance over the last axes, but what follows is no LayerNorm")
    kind, source = _typed(found, centred)
    return LayerNorm(
        source=source,
        output=found.output,
        scale=_scale(found, centred, kind),
        bias=None if found.bias is None else _trimmed(found.bias, f"{found.output.name}/bias", centred),
        epsilon=found.epsilon,
        axis=centred.axes[0],
        nodes=_between(centred, found.output),
    )


def _typed(found: Tail, centred: Centred) -> tuple[int, gs.Tensor]:
    """The element type, which ONNX wants the same of input, weights and output, and the input that has it."""
    name, weights = found.output.name, [tensor for tensor in (found.scale, found.bias) if tensor is not None]
    kind = next((known for tensor in (found.output, *weights, *centred.chain) if (known := element(tensor))), None)
    source = next((tensor for tensor in centred.chain if element(tensor) in (kind, None)), None)
    if kind not in (*HALVES, TensorProto.FLOAT):
        raise NearMiss(name, "it is not in fp32, fp16 or bf16, and LayerNormalization would take its statistics in fp32")
    if source is None or any(element(tensor) != kind for tensor in weights):
        raise NearMiss(name, "input, scale, bias and output differ in their element types")
    return kind, source


def _scale(found: Tail, centred: Centred, kind: int) -> gs.Tensor:
    """Ones where there is none: the operator wants a scale."""
    if found.scale is not None:
        return _trimmed(found.scale, f"{found.output.name}/scale", centred)
    shape = next((known for tensor in centred.chain if (known := sizes(tensor, len(centred.axes)))), None)
    if shape is None:
        raise NearMiss(found.output.name, "it has no scale, and how many ones the operator needs instead is not known")
    return gs.Constant(f"{found.output.name}/scale", np.ones(shape, helper.tensor_dtype_to_np_dtype(kind)))


def _trimmed(weight: gs.Tensor, name: str, centred: Centred) -> gs.Tensor:
    """Without leading ones; itself where it has none, so that shared weights stay shared."""
    array = constant(weight)
    assert array is not None
    shape = array.shape[array.ndim - len(centred.axes) :]
    return weight if array.shape == shape else gs.Constant(name, array.reshape(shape))


def _between(centred: Centred, output: gs.Tensor) -> tuple[gs.Node, ...]:
    """The nodes from the input to `output`, that of `output` last; constants left out."""
    found: dict[int, gs.Node] = {}
    waiting = [output]
    while waiting:
        tensor = waiting.pop()
        node = producer(tensor)
        if node is None or id(node) in found or constant(tensor) is not None or centred.is_source(tensor):
            continue
        found[id(node)] = node
        waiting.extend(node.inputs)
    return tuple(reversed(found.values()))


def _closed(match: LayerNorm, here: set[int], outputs: set[int]) -> None:
    """Nothing else may read what is between the ends, and nothing there may be in a precision that the operator does not keep."""
    kind, inside = element(match.scale), {id(node) for node in match.nodes}
    # torch writes fp16 with statistics in float64; the difference to fp32 is lost when the result is rounded.
    kept = {kind, TensorProto.FLOAT, None, *((TensorProto.DOUBLE,) if kind in HALVES else ())}
    for node in match.nodes:
        (tensor,) = node.outputs
        if id(node) not in here:
            raise NearMiss(match.output.name, "a part of it is inside a body")
        if element(tensor) not in kept:
            raise NearMiss(tensor.name, "a part of the LayerNorm is in another precision than the operator has it in")
        if tensor is not match.output and (id(tensor) in outputs or any(id(reader) not in inside for reader in readers(tensor))):
            raise NearMiss(tensor.name, "a part of the LayerNorm is read elsewhere too")


def _say_what_it_is(variance: gs.Node) -> None:
    """A NearMiss for another norm that begins like a LayerNorm."""
    where = variance.outputs[0].name
    for reader in readers(onward(variance.outputs[0])):
        if reader.op == "Sub":
            raise NearMiss(where, "the variance as E[x^2] - E[x]^2 rounds otherwise than LayerNormalization")
        if reader.op == "Add" and any(after.op in ("Sqrt", "Pow") for after in readers(onward(reader.outputs[0]))):
            raise NearMiss(where, "RMSNorm, not LayerNorm: the mean is not subtracted")
