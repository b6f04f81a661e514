"""Replace Swish (SiLU), the operator or written out, by the TensorRT plugin node of one kernel version.

x * sigmoid(x) -> swish(x; version)
Swish(x; alpha 1) -> swish(x; version)
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx_graphsurgeon as gs

from variants.explain import decline
from variants.matching.activation import Activation, kernel_takes
from variants.matching.swish import swishes
from variants.plugin_pass import plugin_node, plugin_pass

FUNCTION = """<domain: "trtbench", opset_import: ["" : 13]>
    swish <version, aot, plugin_namespace> (x) => (y)
    {
      gate = Sigmoid (x)
      y = Mul (x, gate)
    }"""


def rewrite(graph: gs.Graph, version: str) -> tuple[gs.Graph, int]:
    """Replace every match; the opset stays, for the function is written with operators of any."""
    matches = list(_matches(graph))
    for match in matches:
        match.last.outputs.clear()
        graph.nodes.append(plugin_node("swish", version, [match.source], match.output))
    return graph, len(matches)


def _matches(graph: gs.Graph) -> Iterator[Activation]:
    yield from filter(kernel_takes, (*_operators(graph), *swishes(graph)))


def _operators(graph: gs.Graph) -> Iterator[Activation]:
    for node in list(graph.nodes):
        if node.op == "Swish" and node.domain in (None, "", "ai.onnx"):
            if node.attrs.get("alpha", 1.0) == 1:
                yield Activation("Swish", node.inputs[0], node.outputs[0], node)
            else:
                decline(node.outputs[0].name, "the kernel computes x * sigmoid(x), and here alpha is not 1")


swish_plugin = plugin_pass("swish", rewrite, (FUNCTION,))
