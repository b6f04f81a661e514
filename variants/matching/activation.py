"""Find activations that an exporter wrote out around Erf, Tanh or Sigmoid: GELU in its forms, and Swish."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_graphsurgeon as gs
from onnx import TensorProto

from variants.explain import decline
from variants.matching.polynomial import Polynomial, Terms, near, sources

LONGEST = 6
"""Nodes from the function to the activation's output; 3 suffice for every export seen."""
RTOL = {np.dtype(np.float16): 2e-3, TensorProto.BFLOAT16: 1.6e-2}
"""Two constants, each rounded to 11 or to 8 bits (half a unit of 4.9e-4 or 3.9e-3)."""
RTOL_FP32 = 1e-5
"""Written-out constants are found with 6 digits (1.41421, 0.797885): off by 3e-6, which moves the result by less than that."""


@dataclass(frozen=True, slots=True)
class Form:
    """y = outer(x, e) with e = op(inner(x)); `name` is what the match is called.

    Where the beginning alone is `telling`, a match that is not completed is worth a word: a sigmoid has many uses, erf(x / sqrt 2) one.
    """

    name: str
    op: str
    inner: Polynomial
    outer: Polynomial
    telling: bool = True


@dataclass(frozen=True, slots=True)
class Activation:
    """y = the form `name` of x; `last` is the node that writes `output`."""

    name: str
    source: gs.Tensor
    output: gs.Tensor
    last: gs.Node


def find(graph: gs.Graph, forms: Sequence[Form]) -> Iterator[Activation]:
    """Every activation of these forms in the main graph; where only its beginning is found, that is declined with the reason."""
    here = {id(node) for node in graph.nodes}
    outputs = {id(tensor) for tensor in graph.outputs}
    for node in list(graph.nodes):
        for form in forms:
            x = _argument(node, form)
            if x is None:
                continue
            found = _end(node, x, form, here, outputs)
            if isinstance(found, Activation):
                yield found
            elif form.telling or _is_inside(Terms(x, node.outputs[0]), form):
                decline(*found)


def kernel_takes(match: Activation) -> bool:
    """Whether a kernel of plugins/ computes it: fp32 or fp16, one axis and more; else declined with the reason."""
    x = match.source
    if x.dtype not in (np.float32, np.float16):
        decline(match.output.name, f"a kernel takes {match.name} of fp32 or fp16 only")
    elif x.shape is not None and not x.shape:
        decline(match.output.name, f"a kernel takes {match.name} of one axis and more")
    else:
        return True
    return False


def rtol(tensor: gs.Tensor) -> float:
    """How far constants may be off in a graph whose tensors have this one's element type."""
    kind = tensor.dtype
    return RTOL.get(kind if kind is None or isinstance(kind, int) else np.dtype(kind), RTOL_FP32)


def _argument(node: gs.Node, form: Form) -> gs.Tensor | None:
    """The x of which the node takes the form's inner polynomial."""
    if node.op != form.op or node.domain not in (None, "", "ai.onnx"):
        return None
    (inner,) = node.inputs
    found = [x for x in sources(inner) if near(Terms(x).read(inner), form.inner, rtol(x))]
    return found[-1] if found else None  # behind all Identities


def _is_inside(terms: Terms, form: Form) -> bool:
    """Whether some reader of e makes the activation of it, though it is not e's only one."""
    assert terms.e is not None
    return any(near(terms.read(reader.outputs[0]), form.outer, rtol(terms.x)) for reader in terms.e.outputs)


def _end(node: gs.Node, x: gs.Tensor, form: Form, here: set[int], outputs: set[int]) -> Activation | tuple[str, str]:
    terms = Terms(x, node.outputs[0])
    tensor = node.outputs[0]
    for _ in range(LONGEST):
        if not tensor.outputs:
            break
        if len(tensor.outputs) > 1 or id(tensor) in outputs:
            return tensor.name, f"{form.name} only in part: this is read elsewhere too"
        reader = tensor.outputs[0]
        if id(reader) not in here:
            return tensor.name, f"{form.name} only in part: the rest is inside a body"
        tensor = reader.outputs[0]
        made = terms.read(tensor)
        if near(made, form.outer, rtol(x)):
            return Activation(form.name, x, tensor, reader)
        if made is None:
            break
    return node.outputs[0].name, f"begins like {form.name}, but what follows is another function"
