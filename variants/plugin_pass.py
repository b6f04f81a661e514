"""A pass that puts a kernel of plugins/ into the graph: the node that TensorRT's parser takes for a plugin.

The model also says what the node computes, as an ONNX function: so it is valid ONNX and any runtime can calibrate and
check it. For TensorRT the function is a trap. Its parser (onnx-tensorrt, ModelImporter.cpp, parseNode) takes a plugin
before a function only where the node names its `plugin_namespace`, and where none is registered it builds the function
in silence: hand it `bare(model)`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import onnx
import onnx_graphsurgeon as gs
from onnx import parser

from variants.functions import NAMESPACE as NAMESPACE
from variants.graph_pass import GraphPass, Stage, surgeon


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginPass(GraphPass):
    """`family` is a folder of plugins/; `at(version)` is the pass that places that version, written `<pass>:<version>`.

    `run` alone places a version without a name, which no plugin answers to.
    """

    family: str
    at: Callable[[str], GraphPass]


def plugin_pass(family: str, rewrite: Callable[[gs.Graph, str], tuple[gs.Graph, int]], functions: Sequence[str]) -> PluginPass:
    """`rewrite(graph, version)` is as for `surgeon`; `functions` say in ONNX's text form what each op computes."""

    declared: Any = {"stage": Stage.PLACE, "routine": False, "domain": NAMESPACE}

    def at(version: str) -> GraphPass:
        plain = surgeon(lambda graph: rewrite(graph, version), **declared)

        def run(model: onnx.ModelProto) -> tuple[onnx.ModelProto, int]:
            after, rewrites = plain.run(model)
            return (_defined(after, functions), rewrites) if rewrites else (model, 0)

        return replace(plain, run=run)

    unnamed = at("")
    return PluginPass(unnamed.run, unnamed.distribution, **declared, family=family, at=at)


def plugin_node(op: str, version: str, inputs: Sequence[gs.Tensor], output: gs.Tensor, **constants: float | str) -> gs.Node:
    """The node of one op; `constants` are its attributes after the version, in the order of docs/plugins.md."""
    attributes = {"version": version, **constants, "aot": 1, "plugin_namespace": NAMESPACE}
    return gs.Node(op, f"{output.name}/{op}", attributes, list(inputs), [output], NAMESPACE)


def placed(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The plugin nodes of the main graph."""
    return [node for node in model.graph.node if node.domain == NAMESPACE]


def bare(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy for TensorRT, without what the plugins compute: where no plugin is registered the parser must say so."""
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    kept = [function for function in model.functions if function.domain != NAMESPACE]
    del copied.functions[:]
    copied.functions.extend(kept)
    return copied


def _defined(model: onnx.ModelProto, functions: Sequence[str]) -> onnx.ModelProto:
    opset = next(entry for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    used = {node.op_type for node in placed(model)}
    own = [function for function in map(parser.parse_function, functions) if function.name in used]
    names = {function.name for function in own}
    others = [function for function in model.functions if (function.domain, function.name) not in {(NAMESPACE, name) for name in names}]
    for function in own:
        # ONNX Runtime refuses a function of another opset than the graph's where an operator of it changed in between.
        function.opset_import[0].version = opset.version
    del model.functions[:]
    model.functions.extend([*others, *own])
    return model
