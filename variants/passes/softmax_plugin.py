"""Replace softmax over the last axis, scale and mask included, by the TensorRT plugin node of one kernel version.

Softmax(scale * x) -> softmax(x; version, scale)
Softmax(scale * x + mask[batch, 1, ..., 1, columns]) -> softmax_masked(x, Squeeze(mask); version, scale)
"""

from __future__ import annotations

import numpy as np
import onnx_graphsurgeon as gs

from variants.matching.softmax import Softmax, find
from variants.opset import raised
from variants.plugin_pass import plugin_node, plugin_pass

OPSET = 17
"""The functions are written with CastLike and Shape of a part."""

FUNCTIONS = (
    """<domain: "trtbench", opset_import: ["" : 17]>
    softmax <version, scale, aot, plugin_namespace> (x) => (y)
    {
      factor = Constant <value_float: float = @scale> ()
      factor_as_x = CastLike (factor, x)
      scores = Mul (x, factor_as_x)
      y = Softmax <axis = -1> (scores)
    }""",
    """<domain: "trtbench", opset_import: ["" : 17]>
    softmax_masked <version, scale, aot, plugin_namespace> (x, mask) => (y)
    {
      factor = Constant <value_float: float = @scale> ()
      factor_as_x = CastLike (factor, x)
      scaled = Mul (x, factor_as_x)
      batch_and_rows = Constant <value_ints = [0, -1]> ()
      cols = Shape <start = -1> (x)
      three = Concat <axis = 0> (batch_and_rows, cols)
      rows = Reshape (scaled, three)
      one = Constant <value_ints = [1]> ()
      for_each_row = Unsqueeze (mask, one)
      scores = Add (rows, for_each_row)
      powers = Softmax <axis = -1> (scores)
      whole = Shape (x)
      y = Reshape (powers, whole)
    }""",
)


def rewrite(graph: gs.Graph, version: str) -> tuple[gs.Graph, int]:
    """Replace every match."""
    if not any(find(graph)):
        return graph, 0
    graph = raised(graph, OPSET)
    matches = list(find(graph))
    masks: dict[int, gs.Tensor] = {}
    for match in matches:
        mask = [] if match.mask is None else [_columns(graph, match, masks)]
        match.last.outputs.clear()
        op = "softmax_masked" if mask else "softmax"
        graph.nodes.append(plugin_node(op, version, [match.source, *mask], match.output, scale=match.scale))
    return graph, len(matches)


def _columns(graph: gs.Graph, match: Softmax, made: dict[int, gs.Tensor]) -> gs.Tensor:
    """The mask as [batch, columns], once for all that share it."""
    mask = match.mask
    assert mask is not None
    if id(mask) not in made:
        name = f"{mask.name}/columns"
        axes = gs.Constant(f"{name}/axes", np.arange(1, match.rank - 1, dtype=np.int64))
        made[id(mask)] = gs.Variable(name, mask.dtype)
        graph.nodes.append(gs.Node("Squeeze", name, {}, [mask, axes], [made[id(mask)]]))
    return made[id(mask)]


softmax_plugin = plugin_pass("softmax", rewrite, FUNCTIONS)
