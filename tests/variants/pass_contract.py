"""The contract of a pass on one graph: "" where it holds, else what does not."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto

from bench.passes import find, fitted, names
from common.discover import Declared, discover
from common.errors import UserError
from tests.variants.graphs import copy
from variants.graph import graphs
from variants.graph_pass import GraphPass, Setting
from variants.plugin_pass import PluginPass
from variants.variant import Array, Sizes, Tensors

RTOL, ATOL = 1e-4, 1e-5
"""Same arithmetic in another order: some hundred roundings of fp32 (6e-8 each); ATOL is in units of the tensor's largest value above 1."""
HALF = 1e-2
"""The same where the graph computes in float16 (5e-4 each): of the value and of the largest one."""
FIXED, BEST, LARGEST = 3, 3, 9
"""A free dimension of a small graph, where a pass is told of it."""
SMALL_SHAPES = ((FIXED, FIXED), (1, 4), (5, 2))
"""(batch, every other free dimension) that a small graph is compared at."""


def passes() -> dict[str, Declared[GraphPass]]:
    """Every pass, those with a choice once for each option, those that place a kernel with the last version of it."""
    found = {name: find(name) for name in names()}
    declared = discover("variants.passes", GraphPass)
    last = {name.partition(":")[0]: name for name in found if isinstance(declared[name.partition(":")[0]].value, PluginPass)}
    return {name: value for name, value in found.items() if last.get(name.partition(":")[0], name) == name}


PASSES = passes()


def ours(declared: Declared[GraphPass]) -> bool:
    """Written with GraphSurgeon here; a library cleans up by its own lights, and may find more when it is called again."""
    return declared.value.distribution == "onnx-graphsurgeon"


def free_sizes(graph: onnx.GraphProto, batch: int, other: int) -> dict[str, int]:
    """Every free dimension of the inputs by its name: the first of an input is `batch`, all others are `other`."""
    found: dict[str, int] = {}
    for value in graph.input:
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            if dim.dim_param:
                found.setdefault(dim.dim_param, other if axis else batch)
    return found


def setting(model: onnx.ModelProto) -> Setting:
    """What a pass that is fitted would know of a small graph; of several outputs the last is not asked for."""
    sizes = free_sizes(model.graph, FIXED, FIXED)
    ranges = dict.fromkeys(sizes, (1, BEST, LARGEST))
    outputs = [value.name for value in model.graph.output]
    return Setting(sizes, ranges, tuple(outputs[:-1] or outputs))


def feeds(graph: onnx.GraphProto, sizes: Sizes, seed: int = 0) -> dict[str, Array]:
    """Normal values for floats, 0 to 3 for integers, either for a truth."""
    draw, made = np.random.default_rng(seed), {}
    for value in graph.input:
        shape = [dim.dim_value or sizes[dim.dim_param] for dim in value.type.tensor_type.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        drawn = draw.normal(size=shape) if dtype.kind == "f" else draw.integers(0, 2 if dtype.kind == "b" else 4, shape)
        made[value.name] = np.asarray(drawn, dtype)
    return made


def small_feeds(model: onnx.ModelProto, shapes: Sequence[tuple[int, int]] = SMALL_SHAPES) -> list[dict[str, Array]]:
    """Inputs of a small graph at every one of `shapes`; the first is that of its `setting`."""
    sizes = [free_sizes(model.graph, batch, other) for batch, other in shapes]
    return [feeds(model.graph, one, seed) for seed, one in enumerate(sizes[: 1 if not sizes[0] else None])]


def outputs(model: onnx.ModelProto, inputs: Sequence[Tensors]) -> list[dict[str, Array]]:
    """Of every run, by ONNX Runtime without optimisations of its own."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found = [output.name for output in session.get_outputs()]
    taken = {port.name for port in session.get_inputs()}
    return [dict(zip(found, session.run(found, {n: a for n, a in given.items() if n in taken}), strict=True)) for given in inputs]


def broken(declared: Declared[GraphPass], before: onnx.ModelProto, inputs: Sequence[Tensors], known: Setting) -> str:
    """What of the contract does not hold; `inputs` are feeds, the first at the sizes of `known`."""
    graph_pass = fitted(declared, known).value
    given = copy(before)
    try:
        after, rewrites = graph_pass.run(given)
    except UserError as error:
        return f"refused: {error}" if ours(declared) else ""
    except Exception as error:  # whatever it is, it is a finding
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return f"raised {type(error).__name__}: {error} ({Path(frame.filename).name}:{frame.lineno})"
    if given != before:
        return "its argument was changed"
    if ours(declared) and (after == before) != (rewrites == 0):
        return f"{rewrites} rewrites, but the model is {'the same' if rewrites else 'another'}"
    if after == before:
        return ""
    if wrong := _invalid(after) or _interface(graph_pass, before, after, known):
        return wrong
    taken = [given for given in inputs if _takes(after, given)]
    return numbers(before, after, taken) or _twice(declared, graph_pass, after, taken)


def _invalid(model: onnx.ModelProto) -> str:
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        return f"invalid: {' '.join(str(error).split())[:300]}"
    return ""


def _twice(declared: Declared[GraphPass], graph_pass: GraphPass, after: onnx.ModelProto, inputs: Sequence[Tensors]) -> str:
    twice, again = graph_pass.run(copy(after))
    if ours(declared):
        return f"a second application rewrites {again} more" if again else ""
    if len(twice.graph.node) > len(after.graph.node):
        return "a second application grows the graph"
    return numbers(after, twice, inputs[:1])


def interface(model: onnx.ModelProto) -> list[tuple[str, int, list[str | int]]]:
    """Name, element type and dimensions of inputs and outputs; whatever a free dimension is called."""
    tensors = ((value.name, value.type.tensor_type) for value in (*model.graph.input, *model.graph.output))
    return [(name, tensor.elem_type, [dim.dim_value or "free" for dim in tensor.shape.dim]) for name, tensor in tensors]


def _interface(graph_pass: GraphPass, before: onnx.ModelProto, after: onnx.ModelProto, known: Setting) -> str:
    if not graph_pass.changes:
        return "" if interface(before) == interface(after) else f"{interface(before)} became {interface(after)}"
    inputs = [[value.name for value in model.graph.input] for model in (before, after)]
    left = {value.name for value in after.graph.output}
    return "" if inputs[0] == inputs[1] and left >= set(known.outputs) else f"inputs {inputs[1]}, outputs {sorted(left)}"


def _takes(model: onnx.ModelProto, given: Tensors) -> bool:
    """Whether no dimension is fixed at another size; one is only where a pass `changes` it, and all are at the setting's."""
    fixed = ((v.name, a, d.dim_value) for v in model.graph.input for a, d in enumerate(v.type.tensor_type.shape.dim) if d.dim_value)
    return all(given[name].shape[axis] == size for name, axis, size in fixed if name in given)


def numbers(before: onnx.ModelProto, after: onnx.ModelProto, inputs: Sequence[Tensors]) -> str:
    """The first output that differs at any of `inputs`."""
    rtol, atol = (HALF, HALF) if _is_half(before) else (RTOL, ATOL)
    for given, was, now in zip(inputs, outputs(before, inputs), outputs(after, inputs), strict=True):
        for name in (name for name in was if name in now):
            peak = float(np.max(np.abs(was[name]), initial=0)) if was[name].dtype.kind == "f" else 0
            scale = max(1.0, peak) if np.isfinite(peak) else 1.0
            try:
                assert now[name].dtype == was[name].dtype
                np.testing.assert_allclose(now[name], was[name], rtol, atol * scale)
            except AssertionError as error:
                shapes = {key: array.shape for key, array in given.items()}
                return f"at {shapes} output '{name}': {' '.join(str(error).split())[:200]}"
    return ""


def _is_half(model: onnx.ModelProto) -> bool:
    types = {tensor.data_type for graph in graphs(model.graph) for tensor in graph.initializer}
    casts = {
        a.i for graph in graphs(model.graph) for node in graph.node if node.op_type == "Cast" for a in node.attribute if a.name == "to"
    }
    return bool((types | casts) & {TensorProto.FLOAT16, TensorProto.BFLOAT16})


@cache
def moved_by(name: str) -> tuple[int, ...]:
    """The kinds of fragments of a random graph that this pass does something to, each by itself; none is tried for a library."""
    from tests.variants.random_graphs import alone

    kinds: dict[int, bool] = {}
    for kind, model in alone() if ours(PASSES[name]) else ():
        if not kinds.get(kind):
            kinds[kind] = fitted(PASSES[name], setting(model)).value.run(model)[1] > 0
    return tuple(kind for kind, moved in kinds.items() if moved)


@cache
def small() -> dict[str, onnx.ModelProto]:
    """All small graphs: those of graphs.py and obstacles.py, and every file's of more_graphs."""
    from tests.variants import obstacles
    from tests.variants.graphs import small_graphs
    from tests.variants.more_graphs import more_graphs

    own = {
        "a mask that is sliced": obstacles.sliced_mask(),
        "a pad of amounts in a matrix": obstacles.padded(),
        "a grouped convolution of a reshape": obstacles.grouped(),
        "a mask that is widened": obstacles.widened_mask(),
        "attention with everything free": obstacles.attention(),
    }
    return small_graphs() | own | more_graphs()
