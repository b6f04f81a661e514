"""Split a product whose result is cut into pieces, such as a packed query, key and value projection, into one for each piece.

Split(x [W1 W2 ...] + [b1 b2 ...], last axis) -> x W1 + b1, x W2 + b2, ...

What merge_qkv does, undone. Not routine, as it wants measuring: it saves the copies that Split makes, and costs products that are
smaller. Where one piece alone can do with fewer rows (select_early), only a product of its own can be told so.
"""

from __future__ import annotations

from itertools import accumulate

import onnx_graphsurgeon as gs

from variants.explain import decline
from variants.graph import constant
from variants.graph_pass import Stage, surgeon
from variants.rewriting.rewire import Wiring, nodes_of, numbers
from variants.variant import Array

SIZES = 1
"""The input of Split that gives the pieces' widths, since opset 13."""


def rewrite(graph: gs.Graph) -> tuple[gs.Graph, int]:
    """Every such Split; the number of rewrites is that of the Splits."""
    wiring = Wiring(graph)
    return graph, sum(_split(wiring, node) for node in nodes_of(graph, "Split"))


def _split(wiring: Wiring, node: gs.Node) -> bool:
    add = wiring.producer(node.inputs[0], "Add")
    summed = [wiring.producer(tensor, "MatMul") for tensor in add.inputs] if add else [wiring.producer(node.inputs[0], "MatMul")]
    product = next((found for found in summed if found is not None), None)
    weight = constant(product.inputs[1]) if product else None
    if product is None or weight is None or weight.ndim != 2:
        return False
    where = node.name or node.outputs[0].name
    if len(node.inputs[0].outputs) != 1 or id(node.inputs[0]) in wiring.kept:
        return _decline(where, "something else reads the product whole")
    if add is not None and wiring.only_reader(product.outputs[0], "Add") is not add:
        return _decline(where, "something else reads the product without its bias")
    bias = next((constant(tensor) for tensor in add.inputs if tensor is not product.outputs[0]), None) if add else None
    if add is not None and (bias is None or bias.shape != weight.shape[1:] or bias.dtype != weight.dtype):
        return _decline(where, "what is added to the product is no constant row")
    widths = _widths(node, weight.shape[1])
    if widths is None:
        return _decline(where, "it does not cut the last axis into pieces of known width")
    _products(wiring, node, product, (weight, bias), widths)
    return True


def _widths(node: gs.Node, whole: int) -> list[int] | None:
    """The pieces along the last axis; None along another, or where they are not known."""
    axis, source = node.attrs.get("axis", 0), node.inputs[0]
    rank = len(source.shape) if source.shape is not None else None
    if axis != -1 and (rank is None or axis != rank - 1):
        return None
    given = numbers(node, SIZES, "split")
    count = len(node.outputs)
    if given is None and len(node.inputs) == 1 and whole % count == 0:
        given = [whole // count] * count
    return given if given is not None and sum(given) == whole and min(given) > 0 else None


def _products(wiring: Wiring, node: gs.Node, product: gs.Node, held: tuple[Array, Array | None], widths: list[int]) -> None:
    source, (weight, bias), stem = product.inputs[0], held, product.outputs[0].name
    outputs, ends = list(node.outputs), list(accumulate(widths))
    node.outputs.clear()
    for place, (output, width, end) in enumerate(zip(outputs, widths, ends, strict=True)):
        matrix = wiring.constant(weight[:, end - width : end].copy(), f"{stem}/weight_{place}")
        if bias is None:
            wiring.add(gs.Node("MatMul", f"{stem}/MatMul_{place}", {}, [source, matrix], [output]))
            continue
        whole = wiring.node("MatMul", [source, matrix], f"{stem}/product_{place}", output.dtype)
        row = wiring.constant(bias[end - width : end].copy(), f"{stem}/bias_{place}")
        wiring.add(gs.Node("Add", f"{stem}/Add_{place}", {}, [whole, row], [output]))


def _decline(where: str, why: str) -> bool:
    decline(where, why)
    return False


split_qkv = surgeon(rewrite, stage=Stage.MERGE, routine=False)
