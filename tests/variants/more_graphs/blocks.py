"""Parts of a transformer at several opsets, each with something in the way: a second reader, an output in the middle, a shared weight."""

from __future__ import annotations

import onnx

from tests.variants.random_fragments import FRAGMENTS
from tests.variants.random_graphs import BATCH, Plan, Shape, Step, build

KINDS = {fragment.__name__: number for number, fragment in reversed(list(enumerate(FRAGMENTS)))}
MAP: Shape = (BATCH, 8, 4, 4)
FREE: Shape = (BATCH, "length", 8)


def step(name: str, pick: int = 0, a: int = 0, b: int = 0, c: int = 0) -> Step:
    """A fragment by its name in random_fragments, random_moves or random_motifs."""
    return Step(KINDS[name], pick, a, b, c)


def encoder(opset: int, shape: Shape, shown: tuple[int, ...] = (), stored: bool = True) -> onnx.ModelProto:
    """Positions, attention, a skip with LayerNorm, a block with GELU, a second one by tanh."""
    parts = [step("positions", a=1, b=1), step("attention", b=1, c=1), step("skip_layernorm", a=1, b=1)]
    return build(Plan((*parts, step("block", a=1), step("block", b=1, c=1)), shape, opset, shown, stored))


def graphs() -> dict[str, onnx.ModelProto]:
    """By what they have in them."""
    turned = (step("between_transposes", a=1, b=1), step("between_transposes", a=1, b=2, c=1), step("transpose", a=1, c=3))
    cuts = (step("thirds", c=1), step("cut", b=1, c=1), step("thirds", a=1))
    return {
        **{f"an encoder at opset {opset}": encoder(opset, FREE) for opset in (13, 17, 18, 20)},
        "an encoder whose middle is seen": encoder(13, FREE, (2, 3, 4)),
        "an encoder with its constants in nodes": encoder(13, (BATCH, 4, 8), stored=False),
        "three products, one of them read twice": build(Plan((step("three_products", a=1, c=1), step("three_products", a=2, b=2)), FREE)),
        "a weight in two products": build(Plan((step("twice_the_weight"), step("gelu")), FREE)),
        "moves around what does not care": build(Plan(turned, MAP)),
        "moves that are seen": build(Plan(turned, FREE, shown=(1, 2))),
        "channels last between convolutions": build(Plan((step("channels_last", a=1, b=1), step("conv"), step("channels_last")), MAP)),
        "pieces that meet again": build(Plan(cuts, FREE)),
        "half precision in the middle": build(Plan((step("halves", b=1), step("block"), step("halves", a=1, c=2)), FREE)),
        "bodies that read weights from outside": build(Plan((step("block"), step("branch", a=1), step("loop", a=1)), FREE)),
        "swish, masks and what nobody reads": build(Plan((step("swish"), step("mask", a=2), step("dead_end"), step("swish", a=1)), FREE)),
        "a reshape in front of groups": build(Plan((step("grouped", a=1), step("grouped")), MAP)),
        "a softmax over every axis": build(Plan((step("softmax"), step("softmax", a=2), step("masked_attention", a=1, c=1)), FREE)),
    }
