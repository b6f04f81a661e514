"""A pass against the graph that it was given, before anything is made of its result: valid, the same inputs and outputs, the same numbers.

The numbers are of one run of both graphs on real inputs, by ONNX Runtime on the CPU without optimisations of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx

from bench.pass_numbers import difference, first_difference, tolerance
from bench.pass_run import CannotRunError, run
from common.discover import Declared
from common.errors import UserError
from variants.graph_pass import GraphPass
from variants.heavy import set_aside
from variants.shapes import inputs_at, timed
from variants.variant import BATCH, Array, Tensors, Variant

PROBED_BATCH = 2
"""One would let a pass take a broadcast for granted, and mix up batch and sequence unseen."""
Named = Mapping[str, onnx.TypeProto.Tensor]


@dataclass(slots=True)
class PassCheck:
    """For the passes of one case; remembers what the last graph gave, so that each pass costs one run."""

    variant: Variant
    _known: dict[tuple[Path, str], dict[str, Array]] = field(default_factory=dict)
    """At most one entry: the outputs of the last graph that was run."""

    def follow(self, path: Path, cached: bool) -> None:
        """The last graph lies at `path` from now on; one out of the cache is not the last that was run."""
        self._known = {} if cached else {(path, shapes): outputs for (_, shapes), outputs in self._known.items()}

    def refuse_broken(self, declared: Declared[GraphPass], before: Path, after: Path) -> str:
        """Why the outputs could not be compared, "" where they were and agree.

        Raises UserError with the pass, what it broke (the first tensor that differs and by how much) and the next action.
        """
        was, now = (onnx.load(path, load_external_data=False) for path in (before, after))
        _refuse_invalid(declared, after, was, now)
        _refuse_interface(declared, self.variant, was.graph, now.graph)
        feeds = self._feeds(was.graph, now.graph)
        try:
            expected = self._outputs(before, feeds)
        except CannotRunError as error:
            return f"the graph before it does not run on ONNX Runtime's CPU ({error}), so its outputs were not compared"
        try:
            actual = self._outputs(after, feeds)
        except CannotRunError as error:
            if error.by_nature:
                return f"ONNX Runtime's CPU has no such operator ({error}), so outputs were not compared"
            raise _broken(declared, f"the graph does not run any more ({error})") from error
        allowed = tolerance(was)
        for name in (name for name in expected if name in actual):
            if off := difference(expected[name], actual[name], allowed):
                feeds_to = [_accepted(graph, feeds) for graph in (was.graph, now.graph)]
                raise _broken(declared, _where(name, off, first_difference(before, after, feeds_to, allowed), allowed))
        return ""

    def _feeds(self, *graphs: onnx.GraphProto) -> Tensors:
        """The first inputs at the smallest batch that all `graphs` take, other dimensions as they are timed."""
        if not self.variant.batched:
            return {name: np.asarray(array[0]) for name, array in self.variant.inputs("test").items()}
        fixed = [dims[0].dim_value for graph in graphs for v in graph.input if (dims := v.type.tensor_type.shape.dim) and dims[0].dim_value]
        low, _, high = self.variant.ranges.get(BATCH, (1, 1, PROBED_BATCH))
        batch = fixed[0] if fixed else self.variant.only_batch or min(max(PROBED_BATCH, low), high)
        return inputs_at(self.variant, timed(self.variant, batch))

    def _outputs(self, path: Path, feeds: Tensors) -> dict[str, Array]:
        key = (path, str([(name, array.shape) for name, array in feeds.items()]))
        if key not in self._known:
            self._known = {key: run(path, feeds)}
        return self._known[key]


def _broken(declared: Declared[GraphPass], what: str) -> UserError:
    stem = declared.name.partition(":")[0]
    return UserError(f"pass {declared.name}: {what}; leave it out, or mend variants/passes/{stem}.py")


def _where(output: str, off: str, first: tuple[str, str] | None, allowed: float) -> str:
    name, found = first or (output, off)
    whose = f"output '{output}'" if name == output else f"tensor '{name}', and so of output '{output}'"
    return f"it changed the numbers of {whose}: {found}, where {allowed:g} of the largest value is allowed"


def _refuse_invalid(declared: Declared[GraphPass], after: Path, was: onnx.ModelProto, now: onnx.ModelProto) -> None:
    """By onnx's checker, and by strict shape inference where the graph before it passed that."""
    try:
        onnx.checker.check_model(str(after))
        reason = _inference_error(now)
        if reason and not _inference_error(was):
            raise _broken(declared, f"it left an invalid graph ({reason})")
    except onnx.checker.ValidationError as error:
        raise _broken(declared, f"it left an invalid graph ({_line(error)})") from error


def _inference_error(model: onnx.ModelProto) -> str:
    try:
        onnx.shape_inference.infer_shapes(set_aside(model)[0], check_type=True, strict_mode=True)
    except onnx.shape_inference.InferenceError as error:
        return _line(error)
    return ""


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _refuse_interface(declared: Declared[GraphPass], variant: Variant, was: onnx.GraphProto, now: onnx.GraphProto) -> None:
    """What is fed stays an input and what the variant asks for an output; all else too, unless the pass declares that it `changes` some."""
    free = bool(declared.value.changes)
    inputs, outputs = _named(was.input), _named(was.output)
    chosen = {dim.dim_param for tensor in inputs.values() for dim in tensor.shape.dim if dim.dim_param}
    for kind, before, after, kept in (
        ("input", inputs, _named(now.input), set(inputs)),
        ("output", outputs, _named(now.output), set(variant.outputs) if free else set(outputs)),
    ):
        for name in before:
            if name not in after and name in kept:
                raise _broken(declared, f"it removed or renamed {kind} '{name}' (there is: {', '.join(after) or 'none'})")
            known = after.get(name, before[name]) if kind == "input" else _as_known(after.get(name, before[name]), before[name], chosen)
            if not free and name in after and _described(before[name]) != _described(known):
                raise _broken(declared, f"{kind} '{name}' was {_described(before[name])} and is {_described(after[name])}")
        if more := after.keys() - before.keys():
            raise _broken(declared, f"it added {kind} '{min(more)}'")


def _named(values: Sequence[onnx.ValueInfoProto]) -> Named:
    return {value.name: value.type.tensor_type for value in values}


def _as_known(now: onnx.TypeProto.Tensor, was: onnx.TypeProto.Tensor, chosen: Collection[str]) -> onnx.TypeProto.Tensor:
    """`now` with those dimensions free again that no input names and whose size is only found out: nobody could choose them before."""
    loose = onnx.TypeProto.Tensor()
    loose.CopyFrom(now)
    if len(now.shape.dim) == len(was.shape.dim):
        for dim, before in zip(loose.shape.dim, was.shape.dim, strict=True):
            if not before.dim_value and before.dim_param not in chosen:
                dim.dim_param = "found out"
    return loose


def _described(tensor: onnx.TypeProto.Tensor) -> str:
    """Type and dimensions; those that are free alike whatever their names."""
    dims = ", ".join(str(dim.dim_value or "free") for dim in tensor.shape.dim) if tensor.HasField("shape") else "of any shape"
    return f"{onnx.TensorProto.DataType.Name(tensor.elem_type).lower()} [{dims}]"


def _accepted(graph: onnx.GraphProto, feeds: Tensors) -> Tensors:
    return {value.name: feeds[value.name] for value in graph.input if value.name in feeds}
