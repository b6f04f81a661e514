"""From the variance of a LayerNorm that is written out to its output: epsilon, root, quotient, scale and bias."""

from __future__ import annotations

from dataclasses import dataclass, replace

import onnx_graphsurgeon as gs

from variants.graph import constant, scalar
from variants.matching.layernorm_parts import Centred, NearMiss, element, onward, readers, sizes


@dataclass(frozen=True, slots=True)
class Tail:
    """output = unit * scale + bias, where `unit` is the quotient (times the scale where that was multiplied in before)."""

    epsilon: float
    output: gs.Tensor
    scale: gs.Tensor | None = None
    bias: gs.Tensor | None = None


@dataclass(frozen=True, slots=True)
class _Root:
    """`tensor` is sqrt(variance + epsilon), or its reciprocal where `inverse`, times `scale` where there is one."""

    tensor: gs.Tensor
    epsilon: float
    inverse: bool = False
    scale: gs.Tensor | None = None


def end_of(variance: gs.Node, centred: Centred, outputs: set[int]) -> Tail | None:
    """What follows the variance; None where that is no LayerNorm, a NearMiss where it nearly is."""
    root = _root(variance)
    while root is not None:
        after = readers(root.tensor)
        if len(after) != 1:
            return _expanded(root, after, centred, outputs)
        found = _next(after[0], root, centred)
        if isinstance(found, Tail):
            return _checked(_shifted(_scaled(found, len(centred.axes), outputs), outputs), centred)
        root = replace(found, tensor=onward(found.tensor)) if found else None
    return None


def _root(variance: gs.Node) -> _Root | None:
    tensor = onward(variance.outputs[0])
    after = readers(tensor)
    if any(node.op == "Sqrt" for node in after):
        raise NearMiss(tensor.name, "no epsilon is added to the variance before its root")
    if len(after) > 1 and any(node.op == "Add" for node in after):
        raise NearMiss(tensor.name, "the variance is read elsewhere too")
    if len(after) != 1 or after[0].op != "Add":
        return None
    epsilon = constant(_other(after[0], tensor))
    if epsilon is None or epsilon.size != 1 or epsilon.ndim > _rank(tensor):
        raise NearMiss(tensor.name, "epsilon is not one constant")
    shifted = onward(after[0].outputs[0])
    roots = readers(shifted)
    if len(roots) != 1:
        raise NearMiss(shifted.name, "the variance is read elsewhere too")
    power = _power(roots[0], shifted)
    return _Root(onward(roots[0].outputs[0]), float(epsilon.ravel()[0]), power < 0) if power else None


def _power(node: gs.Node, base: gs.Tensor) -> float | None:
    """0.5 or -0.5 where the node raises `base` to that."""
    if node.op == "Sqrt":
        return 0.5
    power = scalar(node.inputs[1]) if node.op == "Pow" and node.inputs[0] is base else None
    return power if power in (0.5, -0.5) else None


def _next(node: gs.Node, root: _Root, centred: Centred) -> _Root | Tail | None:
    """What the only reader of the root makes of it: still a root, the quotient, or neither."""
    out = node.outputs[0]
    if node.op == "Reciprocal" and not root.inverse:
        return replace(root, tensor=out, inverse=True)
    divides = node.op == "Div" and not root.inverse and node.inputs[1] is root.tensor
    multiplies = node.op == "Mul" and root.inverse and node.inputs[0] is not node.inputs[1]
    if not divides and not multiplies:
        return None
    other = _other(node, root.tensor)
    known = constant(other)
    if divides and known is not None:
        return replace(root, tensor=out, inverse=True) if known.size == 1 and known.ndim <= _rank(root.tensor) and known == 1 else None
    if known is not None:
        return replace(root, tensor=out, scale=other) if root.scale is None else None
    scale, rest = _factor(other) if not centred.is_it(other) else (None, other)
    if not centred.is_it(rest) or (scale is not None and root.scale is not None):
        return None
    return Tail(root.epsilon, out, root.scale if scale is None else scale)


def _expanded(root: _Root, after: list[gs.Node], centred: Centred, outputs: set[int]) -> Tail | None:
    """TensorFlow's batch_normalization: x * r + (bias - mean * r), r being the reciprocal root times the scale."""
    where = root.tensor.name
    if not root.inverse or sorted(node.op for node in after) != ["Mul", "Mul"]:
        raise NearMiss(where, "the deviation is read elsewhere too")
    product = next((node for node in after if centred.is_source(_other(node, root.tensor))), None)
    shift = next((node for node in after if centred.is_mean(_other(node, root.tensor))), None)
    last = readers(product.outputs[0]) if product else []
    if product is None or shift is None or len(last) != 1 or len(before := readers(shift.outputs[0])) != 1:
        raise NearMiss(where, "the reciprocal deviation is read twice, and not as x * r + (bias - mean * r)")
    (end,), (sub,) = last, before
    if sub.op != "Sub":
        return None
    if sub is end and end.inputs[0] is product.outputs[0]:
        return _checked(_shifted(_scaled(Tail(root.epsilon, end.outputs[0], root.scale), len(centred.axes), outputs), outputs), centred)
    if end.op != "Add" or constant(sub.inputs[0]) is None or _other(end, product.outputs[0]) is not sub.outputs[0]:
        return None
    return _checked(Tail(root.epsilon, end.outputs[0], root.scale, sub.inputs[0]), centred)


def _scaled(found: Tail, rank: int, outputs: set[int]) -> Tail:
    """With the product by a constant that follows, where the scale is not in it yet."""
    if found.scale is not None:
        return found
    node = _constant_step(found.output, "Mul", outputs)
    if node is not None:
        return replace(found, output=node.outputs[0], scale=_other(node, onward(found.output)))
    tensor = onward(found.output)
    for reader in readers(tensor):
        if reader.op == "Mul" and (shape := _other(reader, tensor).shape) is not None and len(shape) <= rank:
            raise NearMiss(tensor.name, "its scale is not constant")
    return found


def _shifted(found: Tail, outputs: set[int]) -> Tail:
    """With the sum with a constant that follows."""
    node = _constant_step(found.output, "Add", outputs)
    return replace(found, output=node.outputs[0], bias=_other(node, onward(found.output))) if node else found


def _constant_step(tensor: gs.Tensor, op: str, outputs: set[int]) -> gs.Node | None:
    """The only reader, past Casts, where it is an `op` with a constant; a NearMiss where that is not the only one."""
    end = onward(tensor)
    steps = [node for node in readers(end) if node.op == op and constant(_other(node, end)) is not None]
    if steps and (len(readers(end)) > 1 or id(end) in outputs or id(tensor) in outputs):
        raise NearMiss(end.name, "a part of the LayerNorm is read elsewhere too")
    return steps[0] if steps else None


def _checked(found: Tail, centred: Centred) -> Tail:
    """With the Casts at its end that bring it back to the element type of its input; scale and bias must fit the axes."""
    for weight, name in ((found.scale, "scale"), (found.bias, "bias")):
        if weight is not None and not _fits(weight, centred):
            raise NearMiss(found.output.name, f"its {name} has not the shape of the normalised axes")
    kinds = {element(tensor) for tensor in centred.chain}
    back = onward(found.output)
    return replace(found, output=back) if element(found.output) not in kinds and element(back) in kinds else found


def _fits(weight: gs.Tensor, centred: Centred) -> bool:
    """Whether it has one value for each place on the normalised axes; where their sizes are not known, more than one counts as such."""
    array, rank = constant(weight), len(centred.axes)
    assert array is not None
    most = max(_rank(tensor) for tensor in centred.chain)
    leading, shape = array.shape[: array.ndim - rank], array.shape[max(array.ndim - rank, 0) :]
    if array.ndim < rank or array.ndim > max(most, rank) or any(size != 1 for size in leading):
        return False
    known = next((found for tensor in centred.chain if (found := sizes(tensor, rank)) is not None), None)
    return shape == known if known is not None else all(size > 1 for size in shape)


def _factor(tensor: gs.Tensor) -> tuple[gs.Tensor | None, gs.Tensor]:
    """A constant factor and the rest, where a Mul made it so."""
    node = tensor.inputs[0] if len(tensor.inputs) == 1 else None
    if node is None or node.op != "Mul":
        return None, tensor
    first, second = node.inputs
    return (first, second) if constant(first) is not None else (second, first) if constant(second) is not None else (None, tensor)


def _other(node: gs.Node, tensor: gs.Tensor) -> gs.Tensor:
    """The input of a two-input node that is not `tensor`; `tensor` where both are."""
    first, second = node.inputs
    other: gs.Tensor = second if first is tensor else first
    return other


def _rank(tensor: gs.Tensor) -> int:
    """1 where it is not known: what a mean over the last axis has at least."""
    return 1 if tensor.shape is None else len(tensor.shape)
