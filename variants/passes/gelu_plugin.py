"""Replace GELU, the operator or written out, by the TensorRT plugin node of one kernel version.

Gelu(x; approximate "none") -> gelu(x; version, form "erf")
Gelu(x; approximate "tanh") -> gelu(x; version, form "tanh")
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx_graphsurgeon as gs

from variants.matching.activation import Activation, kernel_takes
from variants.matching.gelu import ERF, TANH, gelus
from variants.opset import raised
from variants.plugin_pass import plugin_node, plugin_pass

OPSET = 20
"""The function is written with Gelu."""
FORMS = {ERF: "erf", TANH: "tanh"}
NAMES = {"none": ERF, "tanh": TANH}

# A function has no branches on an attribute, so it computes both forms; it is there to check the kernel, not to be fast.
FUNCTION = """<domain: "trtbench", opset_import: ["" : 20]>
    gelu <version, form, aot, plugin_namespace> (x) => (y)
    {
      given = Constant <value_string: string = @form> ()
      wanted = Constant <value_string = "tanh"> ()
      by_tanh = Equal (given, wanted)
      tanh = Gelu <approximate = "tanh"> (x)
      erf = Gelu <approximate = "none"> (x)
      y = Where (by_tanh, tanh, erf)
    }"""


def rewrite(graph: gs.Graph, version: str) -> tuple[gs.Graph, int]:
    """Replace every match."""
    if not any(_matches(graph)):
        return graph, 0
    graph = raised(graph, OPSET)
    matches = list(_matches(graph))
    for match in matches:
        match.last.outputs.clear()
        graph.nodes.append(plugin_node("gelu", version, [match.source], match.output, form=FORMS[match.name]))
    return graph, len(matches)


def _matches(graph: gs.Graph) -> Iterator[Activation]:
    fused = (node for node in list(graph.nodes) if node.op == "Gelu" and node.domain in (None, "", "ai.onnx"))
    made = (Activation(NAMES[node.attrs.get("approximate", "none")], node.inputs[0], node.outputs[0], node) for node in fused)
    yield from filter(kernel_takes, (*made, *gelus(graph)))


gelu_plugin = plugin_pass("gelu", rewrite, (FUNCTION,))
