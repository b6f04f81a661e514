"""Give attention's product its keys by one transpose that stands right before it, and keep scalars off the keys.

q T2(f(T1(k)))     -> q (T1 T2)(f(k)), f elementwise: scalars and Casts
q T2(reshape(k))   -> q reshape'(T(k)), where the reshape joins batch and heads alone
q (s k)^T          -> (s q) k^T, where a scalar on q takes s in; in fp32 also one on the scores, or
q (s (x W + b))^T  -> q (x (s W) + s b)^T, where the projection feeds these keys alone

torch's scaled_dot_product_attention scales both sides by the fourth root of the head size, the keys between two transposes:
no runtime folds those into the product. In 16 bits a scalar only moves where the product stays as small: not onto the
scores, nor onto q where it is above 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from variants.explain import decline
from variants.graph import constant
from variants.graph_pass import Stage, surgeon
from variants.matching.attention_terms import scaled
from variants.rewriting.rewire import Wiring, nodes_of
from variants.symbolic.infer import Facts, infer
from variants.variant import Array

VIEWS = ("Reshape", "Squeeze", "Unsqueeze", "Identity", "Transpose")
"""What a scalar commutes with."""


@dataclass(frozen=True, slots=True)
class Keys:
    """keys of a product = transpose by `order` of (`casts` of (`factor` * `source`)); `tidy`: they are made so already."""

    source: gs.Tensor
    order: tuple[int, ...]
    factor: float
    scalars: int
    casts: tuple[gs.Node, ...]
    tidy: bool


def rewrite(graph: gs.Graph) -> tuple[gs.Graph, int]:
    """Every product of two computed tensors whose right one is transposed in its last two axes; the rewrites are the products."""
    products = [node for node in nodes_of(graph, "MatMul") if all(constant(side) is None for side in node.inputs)]
    if not products:
        return graph, 0
    wiring, count = Wiring(graph), 0
    folder = Folder(wiring, infer(graph))
    for product in products:
        if folder.fold(product):
            count += 1
            wiring.sweep()  # what was replaced reads no more
    return graph, count


class Folder:
    """Rewrites the products of one graph."""

    def __init__(self, wiring: Wiring, facts: Facts) -> None:
        self.wiring, self.facts = wiring, facts

    def fold(self, product: gs.Node) -> bool:
        """Whether anything changed."""
        swapped = self._reshape_last(product)
        keys = self._keys(product.inputs[1])
        if keys is None or keys.order[-2] != len(keys.order) - 1:
            return swapped
        moved = keys.scalars > 0 and not keys.casts and self._take_in(product, keys)
        if keys.tidy and not moved:
            return swapped
        tensor, name = keys.source, product.inputs[1].name
        if keys.scalars and not moved:
            factor = self.wiring.constant(np.array(keys.factor, tensor.dtype), f"{name}/factor")
            tensor = self.wiring.node("Mul", [tensor, factor], f"{name}/scaled", tensor.dtype)
        for cast in keys.casts:
            tensor = self.wiring.node("Cast", [tensor], f"{name}/cast", cast.outputs[0].dtype, **cast.attrs)
        product.inputs[1] = self.wiring.node("Transpose", [tensor], f"{name}/folded", tensor.dtype, perm=list(keys.order))
        return True

    def _keys(self, tensor: gs.Tensor) -> Keys | None:
        """The chain that makes a product's right side alone, taken apart; None where it has no transpose."""
        order: tuple[int, ...] | None = None
        factor, path = 1.0, []
        casts: list[gs.Node] = []
        while (node := self._own(tensor)) is not None:
            scalar = scaled(self.facts, node)
            if node.op == "Transpose" and "perm" in node.attrs:
                perm = node.attrs["perm"]
                order = tuple(perm[axis] for axis in order) if order else tuple(perm)
                tensor = node.inputs[0]
            elif scalar is not None and tensor.dtype in (np.float16, np.float32, np.float64):
                tensor, factor = scalar[0], factor * scalar[1]
            elif node.op == "Cast" and not casts:
                tensor, casts = node.inputs[0], [node]
            else:
                break
            path.append("scalar" if scalar is not None else node.op)
        if order is None:
            return None
        while path[-1] == "Cast":  # in front of all else it stands well
            tensor, casts = casts[0].outputs[0], []
            path.pop()
        scalars = path.count("scalar")
        if scalars and casts:  # to which type the scalar belongs is not followed
            return None
        tidy = path in (["Transpose"], ["Transpose", "scalar"])
        return Keys(tensor, order, factor, scalars, tuple(casts), tidy)

    def _own(self, tensor: gs.Tensor) -> gs.Node | None:
        """What makes `tensor`, where one node alone reads it."""
        return self.wiring.producer(tensor) if len(tensor.outputs) == 1 and id(tensor) not in self.wiring.kept else None

    def _take_in(self, product: gs.Node, keys: Keys) -> bool:
        """Whether another scalar, or a projection, took the keys' factor in."""
        narrow = keys.source.dtype == np.float16
        if (not narrow or abs(keys.factor) <= 1) and self._scaled_more(self._scalar_behind(product.inputs[0]), keys.factor):
            return True
        after = self.wiring.only_reader(product.outputs[0], "Mul", "Div")
        if not narrow and after is not None and self._scaled_more(after, keys.factor):
            return True
        if self._projection_scaled(keys.source, keys.factor):
            return True
        if not keys.tidy:
            decline(product.name or product.outputs[0].name, "the factor of its keys stays on them: nothing else takes it in")
        return False

    def _scalar_behind(self, tensor: gs.Tensor) -> gs.Node | None:
        """The scalar that queries are multiplied by, behind transposes and views."""
        while (node := self._own(tensor)) is not None:
            if scaled(self.facts, node) is not None:
                return node
            if node.op not in VIEWS:
                return None
            tensor = node.inputs[0]
        return None

    def _scaled_more(self, node: gs.Node | None, factor: float) -> bool:
        scalar = scaled(self.facts, node) if node is not None else None
        if node is None or scalar is None or node.outputs[0].dtype is None:
            return False
        other = next(place for place, tensor in enumerate(node.inputs) if tensor is not scalar[0])
        shape = self.facts.shape(node.inputs[other]) or ()
        value = np.array(scalar[1] * factor, node.outputs[0].dtype).reshape([1] * len(shape))
        node.op, node.inputs = "Mul", [scalar[0], self.wiring.constant(value, f"{node.outputs[0].name}/factor")]
        return True

    def _projection_scaled(self, tensor: gs.Tensor, factor: float) -> bool:
        """Whether tensor = views of (x W + b) or x W, none of it read elsewhere; then W and b take the factor in."""
        while (node := self._own(tensor)) is not None and node.op in VIEWS:
            tensor = node.inputs[0]
        add = node if node is not None and node.op == "Add" else None
        bias = next((place for place, side in enumerate(add.inputs) if constant(side) is not None), None) if add is not None else None
        if add is not None and bias is not None:
            node = self._own(add.inputs[1 - bias])
        elif add is not None:
            return False
        weight = constant(node.inputs[1]) if node is not None and node.op == "MatMul" else None
        if node is None or weight is None or len(node.inputs[1].outputs) != 1:
            return False
        node.inputs[1] = self._times(weight, factor, node.inputs[1].name)
        if add is not None and bias is not None:
            value: Any = constant(add.inputs[bias])
            add.inputs[bias] = self._times(value, factor, add.inputs[bias].name)
        return True

    def _times(self, value: Array, factor: float, name: str) -> gs.Constant:
        return self.wiring.constant((value * np.array(factor, value.dtype)).astype(value.dtype), f"{name}/scaled")

    def _reshape_last(self, product: gs.Node) -> bool:
        """Transpose(reshape(Transpose(k)), last two axes) -> reshape'(Transpose(...)), where the reshape joins leading axes alone."""
        transpose = self._own(product.inputs[1])
        if transpose is None or transpose.op != "Transpose" or list(transpose.attrs.get("perm", [])) != [0, 2, 1]:
            return False
        reshape = self._own(transpose.inputs[0])
        first = self._own(reshape.inputs[0]) if reshape is not None and reshape.op == "Reshape" else None
        if reshape is None or first is None or first.op != "Transpose" or len(first.attrs.get("perm", [])) != 4:
            return False
        before, after = self.facts.shape(reshape.inputs[0]), self.facts.shape(reshape.outputs[0])
        target = self.facts.value(reshape.inputs[1])
        if before is None or after is None or target is None or before[2:] != after[1:] or any(size.number == 0 for size in target):
            return False
        name, perm = product.inputs[1].name, first.attrs["perm"]
        turned = self.wiring.node(
            "Transpose", [first.inputs[0]], f"{name}/turned", first.outputs[0].dtype, perm=[*perm[:2], perm[3], perm[2]]
        )
        places = self.wiring.constant(np.array([0, 2, 1], np.int64), f"{name}/places")
        swapped = self.wiring.node("Gather", [reshape.inputs[1], places], f"{name}/target", np.int64, axis=0)
        product.inputs[1] = self.wiring.node("Reshape", [turned, swapped], f"{name}/joined", first.outputs[0].dtype)
        return True


fold_key_transpose = surgeon(rewrite, stage=Stage.LAYOUT)
