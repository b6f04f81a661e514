"""Tiny ONNX graphs and profiles: name what a test is about, the rest is filled in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from reports.layers.division import Costs, costs_of
from reports.layers.layer import Layer, Tensor
from reports.layers.onnx_graph import graph_of
from reports.layers.profile import Profile

Weights = Mapping[str, list[int] | npt.NDArray[Any]]


def node(op: str, reads: str, writes: str, name: str | None = None, **attributes: Any) -> onnx.NodeProto:
    """node("Add", "a b", "c"); a node without a given name is called after its output."""
    return helper.make_node(op, reads.split(), writes.split(), name=writes.split()[0] if name is None else name, **attributes)


def model(
    nodes: Sequence[onnx.NodeProto], inputs: Mapping[str, Sequence[int | str]], outputs: str, weights: Weights | None = None
) -> onnx.ModelProto:
    """Weights given as a shape are ones; inputs are FP32; opset 17."""
    stored = []
    for name, value in (weights or {}).items():
        array = value if isinstance(value, np.ndarray) else np.ones(value, np.float32)
        stored.append(numpy_helper.from_array(array, name))
    graph = helper.make_graph(
        list(nodes),
        "tiny",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)) for name, shape in inputs.items()],
        [helper.make_empty_tensor_value_info(name) for name in outputs.split()],
        stored,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def costs(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[int | str]],
    outputs: str,
    weights: Weights | None = None,
    sizes: Mapping[str, int] | None = None,
) -> Costs:
    return costs_of(graph_of(model(nodes, inputs, outputs, weights), sizes or {}))


def layer(name: str, time: float | None = 10.0, nodes: str = "", **more: Any) -> Layer:
    """`nodes` as "a b"; ranks are given by `profile`."""
    fields: dict[str, Any] = {"type": "", "group": "other", "median_us": time, **more}
    return Layer(rank=0, name=name, mean_us=time, nodes=tuple(nodes.split()), **fields)


def profile(*layers: Layer, **more: Any) -> Profile:
    ranked = tuple(_ranked(rank, one) for rank, one in enumerate(layers, 1))
    return Profile("tiny", ranked, **more)


def tensor(name: str, precision: str = "FP16", shape: Sequence[int] = (8, 64), form: str = "") -> Tensor:
    return Tensor(name, precision, form, tuple(shape))


def _ranked(rank: int, one: Layer) -> Layer:
    return msgspec.structs.replace(one, rank=rank)
