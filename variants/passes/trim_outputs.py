"""Take away the outputs that nobody asked for, and all that feeds nothing else.

(y, z) = (f(x), g(x)) -> y = f(x), where the variant asks for y

An input that then feeds nothing stays: whoever runs the model still feeds it.
"""

from __future__ import annotations

import onnx_graphsurgeon as gs

from variants.explain import decline
from variants.graph_pass import Setting, Stage, fitted_surgeon


def rewrite(graph: gs.Graph, setting: Setting) -> tuple[gs.Graph, int]:
    """Counts the outputs that go; nothing where none is asked for, or one is asked for that the graph has not."""
    if not setting.outputs:
        return graph, 0
    present = {tensor.name for tensor in graph.outputs}
    missing = [name for name in setting.outputs if name not in present]
    if missing:
        decline(missing[0], "is asked for, but is no output of the graph: which others may go is in doubt")
        return graph, 0
    kept = [tensor for tensor in graph.outputs if tensor.name in setting.outputs]
    gone = len(graph.outputs) - len(kept)
    graph.outputs = kept
    return graph, gone


trim_outputs = fitted_surgeon(rewrite, stage=Stage.TRIM, changes="outputs that the variant does not ask for go")
