"""Operators that nothing here can compute."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import onnx

from common.errors import UserError
from variants.graph import graphs

STANDARD = ("", "ai.onnx")


def refuse_unknown(path: Path, model: onnx.ModelProto) -> None:
    """Raises UserError naming the first node whose operator ONNX Runtime has not: there would be no reference to hold it against.

    Functions that the model carries itself, and ONNX Runtime's own (com.microsoft), are known.
    """
    carried = {(function.domain, function.name) for function in model.functions}
    opset = next((entry.version for entry in model.opset_import if entry.domain in STANDARD), 0)
    for node in nodes(model):
        domain = "" if node.domain in STANDARD else node.domain
        if (node.domain, node.op_type) in carried or (domain, node.op_type) in _known():
            continue
        place = f"node '{node.name or (node.output[0] if node.output else '')}'"
        if not domain:
            raise UserError(f"{path}: opset {opset} of ONNX Runtime has no operator '{node.op_type}' ({place}); export without it")
        raise UserError(
            f"{path}: {place} is the custom operator '{domain}::{node.op_type}', which ONNX Runtime does not know; "
            "export it as ONNX operators, or as a function that the model carries"
        )


def nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Of the graph, of bodies inside its nodes, and of the functions that the model carries."""
    bodies = [onnx.GraphProto(node=function.node) for function in model.functions]
    for graph in (model.graph, *bodies):
        for part in graphs(graph):
            yield from part.node


@cache
def _known() -> frozenset[tuple[str, str]]:
    from onnxruntime.capi.onnxruntime_pybind11_state import get_all_operator_schema

    return frozenset((schema.domain, schema.name) for schema in get_all_operator_schema())
