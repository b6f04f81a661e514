"""Compute a matrix product by a constant as a 1x1 convolution, where the Transposes around it then go.

Transpose(Transpose(x, to channels last) @ W + b, to channels first) -> Conv(x, W transposed, b; 1x1)

x is [n, c, ...] with one to three axes behind the channels. Between two Transposes there may be several products and what
is elementwise (an MLP); a LayerNorm over the channels ends it, as its kernels want them last. `matmul_to_conv:all` does it
to every product, each between two Transposes of its own: for measuring what that costs. On the CPU (ONNX Runtime, one
thread, paired, batch 1) that is 0.30 [0.26, 0.54] times the speed for vit_digits, 0.84 [0.83, 0.86] for bert:tiny, 0.86
[0.85, 0.88] for uniformer_s:tiny; so this is done only where Transposes go.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx_graphsurgeon as gs

from variants.explain import decline
from variants.graph import constant, split_constant
from variants.graph_pass import Stage, option_surgeon
from variants.rewriting.carried import Made
from variants.rewriting.layout import Layout
from variants.rewriting.regions import Members, View, seeds
from variants.rewriting.rewire import Wiring, nodes_of
from variants.symbolic.infer import Facts, infer

RANKS = (3, 4, 5)
"""Convolutions over one, two and three axes; no runtime has more."""
FREE, ALL = "free", "all"


@dataclass(slots=True)
class Products:
    """Takes a product by a constant matrix where channels are last and shall be second; remembers the convolutions it made."""

    outputs: list[gs.Tensor] = field(default_factory=list)

    def takes(self, layout: Layout, node: gs.Node) -> bool:
        """See Further."""
        return product(node) and len(layout.axes) in RANKS and layout == channels_last(len(layout.axes))

    def made(self, wiring: Wiring, layout: Layout, node: gs.Node, inputs: list[gs.Tensor]) -> Made:
        """See Further; the weights are [out, in, 1, ...]."""
        weight = constant(node.inputs[1])
        assert weight is not None
        self.outputs.append(node.outputs[0])
        ones = [1] * (len(layout.axes) - 2)
        kernel = np.ascontiguousarray(weight.T).reshape([*weight.T.shape, *ones])
        return "Conv", {"kernel_shape": ones}, [inputs[0], wiring.constant(kernel, f"{node.outputs[0].name}/weight")]


def product(node: gs.Node) -> bool:
    """Whether it multiplies a tensor by a constant matrix of floats."""
    if node.op != "MatMul" or node.domain or not node.outputs or constant(node.inputs[0]) is not None:
        return False
    weight = constant(node.inputs[1])
    return weight is not None and weight.ndim == 2 and weight.dtype in (np.float16, np.float32, np.float64)


def channels_last(rank: int) -> Layout:
    """[n, ..., c] of [n, c, ...]."""
    return Layout((0, *range(2, rank), 1), rank)


def rewrite(graph: gs.Graph, option: str) -> tuple[gs.Graph, int]:
    """The rewrites are the products that became convolutions."""
    wiring = Wiring(graph)
    if not any(product(node) for node in nodes_of(graph, "MatMul")):
        return graph, 0
    facts = infer(graph)
    if option == ALL:
        return graph, sum(_alone(wiring, facts, node) for node in nodes_of(graph, "MatMul"))
    count = 0
    while converted := _paying(wiring, facts):
        count += converted
    return graph, count


def _paying(wiring: Wiring, facts: Facts) -> int:
    """The first region with a product in it that leaves fewer Transposes; the products in it, 0 where there is none."""
    left: list[str] = []
    for _, layout, start in seeds(wiring, facts):
        if len(layout.axes) not in RANKS or layout != channels_last(len(layout.axes)):
            continue
        view = View(wiring, facts, layout, Products())
        if not view.takes(start):
            continue
        (transposes, nodes), members = view.grown(start)
        products = [node for node in members.values() if product(node)]
        if products and transposes < 0 and nodes <= 0:
            return _converted(view, members)
        left += [node.outputs[0].name for node in products]
    for name in left:
        decline(name, "as a convolution it would need as many Transposes as before")
    return 0


def _alone(wiring: Wiring, facts: Facts, node: gs.Node) -> int:
    rank = facts.rank(node.outputs[0])
    if not product(node) or rank not in RANKS:
        return 0
    view = View(wiring, facts, channels_last(rank), Products())
    if not view.takes(node):
        return 0
    bias = wiring.only_reader(node.outputs[0], "Add")
    added = bias is not None and split_constant(bias) is not None and view.takes(bias)
    return _converted(view, {id(one): one for one in (node, bias) if one is not None and (one is node or added)})


def _converted(view: View, members: Members) -> int:
    view.rewrite(members)
    assert isinstance(view.further, Products)
    for out in view.further.outputs:
        _with_bias(view.wiring, view.twins[id(out)])
    return len(view.further.outputs)


def _with_bias(wiring: Wiring, out: gs.Tensor) -> None:
    """The convolution takes the Add of one value a channel behind it."""
    add = wiring.only_reader(out, "Add")
    shift = split_constant(add) if add is not None else None
    if add is None or shift is None:
        return
    conv = out.inputs[0]
    wanted = (conv.inputs[1].shape[0], *[1] * len(conv.attrs["kernel_shape"]))
    if shift[1].shape[-len(wanted) :] != wanted or shift[1].size != wanted[0]:
        return
    conv.inputs.append(wiring.constant(shift[1].reshape(-1), f"{out.name}/bias"))
    conv.outputs = list(add.outputs)
    add.outputs.clear()


matmul_to_conv = option_surgeon(rewrite, (FREE, ALL), stage=Stage.LAYOUT, routine=False)
