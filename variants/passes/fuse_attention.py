"""Fuse softmax(scale * q k^T + mask) v, with its head split and merge, into one operator.

merge(softmax(scale * split(q) split(k)^T + mask) split(v)) -> Attention(q, k, v, mask; scale, heads), opset 23 (`onnx`)
                                                            -> com.microsoft MultiHeadAttention(q, k, v, mask; scale, heads) (`ort`)

A row that hides all its keys is NaN where nothing guards it, and zero in Attention. Where the graph writes zeros there
(masked_fill after the softmax, a search for NaN), so does what replaces it. Not routine: TensorRT-RTX 1.7's parser
takes Attention as it is written here, but its builder has kernels for 16 bits and heads of 12 to 256 alone (tried: 4 to 512,
compute capability 8.9) and refuses the rest, all fp32, unless IAttention.decomposable is set on the network, as the backend
tensorrt_rtx does and trtexec does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
import onnx_graphsurgeon as gs

from common.errors import UserError
from variants.explain import decline
from variants.graph import exported, shaped, with_opset
from variants.graph_pass import GraphPass, OptionPass, Stage, surgeon
from variants.matching.attention import Attention, find
from variants.matching.attention_mask import Masks
from variants.matching.attention_parts import SPLIT, Parts
from variants.rewriting.rewire import Wiring
from variants.symbolic.infer import infer

ONNX, ORT, CONTRIB = "onnx", "ort", "com.microsoft"
OPSETS = {ONNX: 23, ORT: 13}
"""Attention is an ONNX operator since 23; below 13, Squeeze and Unsqueeze take their axes otherwise."""


def rewrite(graph: gs.Graph, option: str) -> tuple[gs.Graph, int]:
    """Replace every match of variants/matching/attention.py."""
    if not any(find(graph, infer(graph))):
        return graph, 0
    if graph.opset < OPSETS[option]:
        try:
            graph = shaped(exported(with_opset(graph, OPSETS[option])))
        except UserError as error:
            decline("the graph", str(error))
            return graph, 0
    facts = infer(graph)
    matches = list(find(graph, facts))
    parts = Parts(Wiring(graph), facts)
    placer = _Placer(option, parts, Masks(parts, graph.opset))
    return graph, sum(placer.place(match) for match in matches)


@dataclass(slots=True)
class _Placer:
    """Puts operators where matches were."""

    option: str
    parts: Parts
    masks: Masks

    def place(self, match: Attention) -> bool:
        """False where it was declined."""
        if why := self._why_not(match):
            decline(match.softmax.name or match.output.name, why)
            return False
        operands, output = (match.query, match.key, match.value), match.output
        flat = [self.parts.flat(one) for one in operands]
        merge = self._merge(match)
        if len(match.shape) == 3 or (merge is not None and all(tensor is not None for tensor in flat)):
            self._flat(match, flat, merge)
        elif self.option == ORT:
            self._flat(match, [self.parts.flattened(one) for one in operands], merge)
        else:
            match.last.outputs.clear()
            self._operator(match, [self.parts.whole(one) for one in operands], output, flat=False)
        return True

    def _why_not(self, match: Attention) -> str:
        if self.option == ONNX:
            same = match.query.shape[-1] == match.value.shape[-1]
            return "" if same else "its values are of another size than its queries, which TensorRT's Attention refuses"
        unknown = match.heads is None or any(one.shape[-1].number is None for one in (match.query, match.value))
        return "how many heads of what size is not known" if unknown else ""

    def _merge(self, match: Attention) -> gs.Node | None:
        """The Transpose to [batch, length, heads, size] that alone reads the output, of known heads."""
        transpose = self.parts.wiring.only_reader(match.output, "Transpose")
        known = match.heads is not None and match.value.shape[-1].number is not None
        return transpose if known and transpose is not None and tuple(transpose.attrs.get("perm", ())) == SPLIT else None

    def _flat(self, match: Attention, operands: list[Any], merge: gs.Node | None) -> None:
        """[batch, length, heads * size] in and out."""
        wiring = self.parts.wiring
        output, heads, size = match.output, match.heads, match.value.shape[-1].number
        match.last.outputs.clear()
        if len(match.shape) == 3:
            self._operator(match, operands, output)
            return
        split = merge.outputs[0] if merge is not None else gs.Variable(wiring.name(f"{output.name}/split"), output.dtype)
        joined = self._joined(match, split)
        if joined is None:
            joined = gs.Variable(wiring.name(f"{output.name}/joined"), output.dtype)
        if merge is not None:
            merge.outputs.clear()
        self._operator(match, operands, joined)
        if merge is None or split.outputs or id(split) in wiring.kept:
            self.parts.reshaped(joined, (0, 0, heads or 0, size or 0), split)
        if merge is None:
            wiring.add(gs.Node("Transpose", f"{output.name}/Transpose", {"perm": list(SPLIT)}, [split], [output]))

    def _joined(self, match: Attention, split: gs.Tensor) -> gs.Tensor | None:
        """What a Reshape makes of `split`, [batch, length, heads * size]; that Reshape goes."""
        batch, _, length = match.shape[:3]
        for reader in self.parts.wiring.readers(split):
            here = id(reader) in self.parts.wiring.here and reader.op == "Reshape" and reader.inputs[0] is split
            shape = self.parts.facts.shape(reader.outputs[0]) if here else None
            if shape is not None and len(shape) == 3 and shape[:2] == (batch, length):
                joined = reader.outputs[0]
                reader.outputs.clear()
                reader.inputs.clear()
                return joined
        return None

    def _operator(self, match: Attention, operands: list[Any], output: gs.Tensor, flat: bool = True) -> None:
        wiring, dtype = self.parts.wiring, match.query.source.dtype
        hidden = None if self.option == ONNX else float(np.finfo(dtype).min)
        mask = self.masks.mask(match, hidden)
        written = output
        if match.zeroed and mask is not None:
            written = gs.Variable(wiring.name(f"{output.name}/unguarded"), output.dtype)
            rows = self.masks.hidden_rows(match, mask, -inf if hidden is None else hidden, flat)
            zero = wiring.constant(np.zeros((), dtype), "attention/zero")
            wiring.add(gs.Node("Where", f"{output.name}/Where", {}, [rows, zero, written], [output]))
        wiring.add(self._node(match, operands, mask, written, flat))

    def _node(self, match: Attention, operands: list[Any], mask: gs.Tensor | None, written: gs.Tensor, flat: bool) -> gs.Node:
        name = match.softmax.name or written.name
        if self.option == ORT:
            absent = [gs.Variable.empty(), gs.Variable.empty(), mask] if mask is not None else []
            said = {"scale": match.scale, "num_heads": match.heads}
            return gs.Node("MultiHeadAttention", f"{name}/MultiHeadAttention", said, [*operands, *absent], [written], CONTRIB)
        heads = {"q_num_heads": match.heads, "kv_num_heads": match.heads} if flat else {}
        return gs.Node(
            "Attention",
            f"{name}/Attention",
            {"scale": match.scale, **heads},
            [*operands, *([mask] if mask is not None else [])],
            [written],
        )


def _at(option: str) -> GraphPass:
    return surgeon(lambda graph: rewrite(graph, option), stage=Stage.FUSE, routine=False, domain=CONTRIB if option == ORT else "")


fuse_attention = OptionPass(_at(ONNX).run, "onnx-graphsurgeon", stage=Stage.FUSE, routine=False, options=(ONNX, ORT), at=_at)
