"""Fuse GELU, by erf or by tanh, into the operator Gelu.

0.5 * x * (1 + erf(x / sqrt(2))) -> Gelu(x; approximate "none")
0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))) -> Gelu(x; approximate "tanh")
in every order of the operations and with every place of the constants, which agree to the element type's rounding.
"""

from __future__ import annotations

import onnx_graphsurgeon as gs

from common.errors import UserError
from variants.explain import decline
from variants.graph_pass import Stage, surgeon
from variants.matching.gelu import ERF, TANH, gelus
from variants.opset import raised

OPSET = 20
"""Gelu is an ONNX operator since opset 20."""
APPROXIMATE = {ERF: "none", TANH: "tanh"}


def rewrite(graph: gs.Graph) -> tuple[gs.Graph, int]:
    """Replace every match; a graph that cannot be raised to the opset is left alone, for GELU is right as it stands."""
    first = next(gelus(graph), None)
    if first is None:
        return graph, 0
    try:
        graph = raised(graph, OPSET)
    except UserError as error:
        decline(first.output.name, str(error))
        return graph, 0
    matches = list(gelus(graph))
    for match in matches:
        name = f"{match.last.name or match.output.name}/Gelu"
        match.last.outputs.clear()
        graph.nodes.append(gs.Node("Gelu", name, {"approximate": APPROXIMATE[match.name]}, [match.source], [match.output]))
    return graph, len(matches)


fuse_gelu = surgeon(rewrite, stage=Stage.FUSE)
