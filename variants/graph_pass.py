"""What a pass file declares: one transform of an ONNX graph that says how much it rewrote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from importlib.metadata import version
from typing import Any

import onnx
import onnx_graphsurgeon as gs

from common.errors import UserError
from variants.graph import exported, graphs, shaped
from variants.heavy import LIMIT, data_bytes, release, set_aside, weights
from variants.heavy_inputs import put_back, unfolded, without_weights

Run = Callable[[onnx.ModelProto], tuple[onnx.ModelProto, int]]
Spared = Callable[[onnx.ModelProto], set[str]]
Rewrite = Callable[[gs.Graph], tuple[gs.Graph, int]]


class Stage(IntEnum):
    """Where a pass stands in the whole pipeline, `all`: lower first, by name within a stage."""

    REPAIR = 10
    """What a parser would refuse."""
    TRIM = 20
    """What nobody needs goes, before anything is matched."""
    CLEAN = 30
    """Constants folded, a library's whole clean-up."""
    LAYOUT = 40
    """Chains of moves merged or taken out of the way of the fusions."""
    FUSE = 50
    """Several nodes become one operator."""
    MERGE = 60
    """Several operators become one bigger one."""
    AHEAD = 70
    """Work moved from every run to the build, or not done at all where nobody reads it."""
    ALIGN = 80
    """Sizes that suit the hardware."""
    PLACE = 90
    """A kernel of plugins/ in place of operators."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a pass may know of the case it runs for.

    `sizes` are the dynamic dimensions by name as they are timed, the batch included ({"batch": 1, "sequence": 128});
    `ranges` are (min, best, max) of those that the variant declares, `outputs` the outputs that it asks for. All empty: nothing is known.
    """

    sizes: Mapping[str, int] = field(default_factory=dict)
    ranges: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GraphPass:
    """`run(model)` returns the new model and the number of rewrites; it may not change its argument.

    `distribution` is the installed package that does the work; its version is part of the cache key. `routine` passes make up
    the pipeline `all`, in the order of their `stage`; the others want a choice, other operators or measuring first. `domain`
    is that of the operators it writes beyond ONNX's own, such as "com.microsoft": only backends that know them take it.
    `changes` says what of the inputs, outputs and free dimensions it alters; "" is nothing.
    """

    run: Run
    distribution: str = ""
    stage: Stage = Stage.FUSE
    routine: bool = True
    domain: str = ""
    changes: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionPass(GraphPass):
    """A pass with a choice, written `<pass>:<option>`; `run` alone takes the first of `options`."""

    options: Sequence[str]
    at: Callable[[str], GraphPass]


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedPass(GraphPass):
    """A pass that is fitted to the case's shapes; `run` alone knows nothing of them."""

    fitted: Callable[[Setting], GraphPass]


def surgeon(rewrite: Rewrite, **declared: Any) -> GraphPass:
    """A pass written with GraphSurgeon, which sees no dead ends; a rewrite of nothing leaves the model as it was, byte for byte.

    `declared` are fields of GraphPass, such as stage=Stage.LAYOUT.
    """

    def run(model: onnx.ModelProto) -> tuple[onnx.ModelProto, int]:
        graph = shaped(model).cleanup()
        read = weights(graph)
        graph, rewrites = rewrite(graph)
        after = exported(graph) if rewrites else model
        release((*read, *weights(graph)))
        return after, rewrites

    return GraphPass(run, "onnx-graphsurgeon", **declared)


def option_surgeon(rewrite: Callable[[gs.Graph, str], tuple[gs.Graph, int]], options: Sequence[str], **declared: Any) -> OptionPass:
    """`surgeon` for a pass with a choice: `rewrite(graph, option)`, the first of `options` being the one taken without a word."""

    def at(option: str) -> GraphPass:
        return surgeon(lambda graph: rewrite(graph, option), **declared)

    return OptionPass(at(options[0]).run, "onnx-graphsurgeon", **declared, options=tuple(options), at=at)


def fitted_surgeon(rewrite: Callable[[gs.Graph, Setting], tuple[gs.Graph, int]], **declared: Any) -> FittedPass:
    """`surgeon` for a pass that is fitted to the case: `rewrite(graph, setting)`."""

    def fitted(setting: Setting) -> GraphPass:
        return surgeon(lambda graph: rewrite(graph, setting), **declared)

    return FittedPass(fitted(Setting()).run, "onnx-graphsurgeon", **declared, fitted=fitted)


def cleaner(clean: Callable[[onnx.ModelProto], onnx.ModelProto], distribution: str, spared: Spared | None = None) -> GraphPass:
    """A library's whole clean-up as one pass; its rewrites are the nodes that went or came, counted by operator type, bodies included.

    `clean` may change its argument. `spared(model)` names the weights that it does as well without: they are handed over as
    inputs, for time and memory. Of a model above protobuf's 2 GiB every library gets only the weights that folding needs:
    what it would do with the values of others (a batch norm into a convolution) is not done.
    """

    def run(model: onnx.ModelProto) -> tuple[onnx.ModelProto, int]:
        before = _operators(model)
        chosen = spared or (unfolded if data_bytes(model) > LIMIT else None)
        given, weights = without_weights(model, chosen(model) if chosen else frozenset())
        try:
            after = put_back(clean(given), weights)
        except Exception as error:  # whatever a library raises
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"{distribution} {version(distribution)} fails on this graph ({reason}): leave it out") from error
        _put_inputs_back(model.graph, after.graph)
        _drop_stale_shapes(after)
        now = _operators(after)
        return after, (before - now).total() + (now - before).total()

    return GraphPass(run, distribution, stage=Stage.CLEAN, routine=distribution == FOLDING)


FOLDING = "polygraphy"
"""Of the four cleaners the one in `all`: it folds constants and nothing else, so that every change there is ours."""


def _put_inputs_back(before: onnx.GraphProto, after: onnx.GraphProto) -> None:
    """onnxslim drops an input that nothing reads, but whoever runs the model still feeds it."""
    stored = {tensor.name for tensor in before.initializer}
    kept = {value.name for value in after.input}
    after.input.extend(value for value in before.input if value.name not in kept | stored)


def _drop_stale_shapes(after: onnx.ModelProto) -> None:
    """onnxoptimizer keeps the shapes of tensors that it computes otherwise now; where they contradict, none is kept."""
    try:
        onnx.shape_inference.infer_shapes(set_aside(after)[0], check_type=True, strict_mode=True)
    except onnx.shape_inference.InferenceError:
        for graph in graphs(after.graph):
            del graph.value_info[:]


def _operators(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for graph in graphs(model.graph) for node in graph.node)
