"""GELU as exporters write it out: by erf, by tanh, and by the sigmoid that equals the tanh form."""

from __future__ import annotations

from collections.abc import Iterator
from math import pi, sqrt

import onnx_graphsurgeon as gs

from variants.explain import decline
from variants.matching.activation import Activation, Form, find, rtol
from variants.matching.polynomial import Terms, near, sources

ROOT, CUBE = sqrt(2 / pi), 0.044715
QUICK = 1.702

HALF = {(1, 0): 0.5, (1, 1): 0.5}
ERF, TANH = "GELU by erf", "GELU by tanh"

FORMS = (
    Form(ERF, "Erf", {(1, 0): 1 / sqrt(2)}, HALF),
    Form(TANH, "Tanh", {(1, 0): ROOT, (3, 0): ROOT * CUBE}, HALF),
    Form(TANH, "Sigmoid", {(1, 0): 2 * ROOT, (3, 0): 2 * ROOT * CUBE}, {(1, 1): 1.0}),
)
"""0.5 x (1 + erf(x / sqrt 2)); 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), and with (1 + tanh(u)) / 2 = sigmoid(2 u).

Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016.
"""


def gelus(graph: gs.Graph) -> Iterator[Activation]:
    """Every GELU written out in the main graph, its name ERF or TANH; near misses are declined with the reason."""
    yield from find(graph, FORMS)
    for node in graph.nodes:
        if node.op == "Sigmoid":
            _decline_quick(node)
        elif node.op == "Tanh":
            _decline_other_constants(node)


def _decline_quick(node: gs.Node) -> None:
    (inner,) = node.inputs
    if any(near(Terms(x).read(inner), {(1, 0): QUICK}, 1e-3) for x in sources(inner)):
        decline(node.outputs[0].name, "QuickGELU, x * sigmoid(1.702 x), is another function than GELU: up to 0.02 away")


def _decline_other_constants(node: gs.Node) -> None:
    (inner,) = node.inputs
    for x in sources(inner):
        found = Terms(x).read(inner)
        if found is not None and found.keys() == {(1, 0), (3, 0)} and not near(found, FORMS[1].inner, rtol(x)):
            decline(node.outputs[0].name, "tanh of a cubic whose constants are not those of GELU")
