"""Tiny ONNX files in ONNX's own text form."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx.parser

HEADER = '<ir_version: 8, opset_import: ["" : 17]>'
CLASSIFIER = "m (float[batch, 3, H, W] images) => (float[batch, 3] logits) { logits = ReduceMean <axes = [2, 3], keepdims = 0> (images) }"
TOKENS = """m (int64[batch, sequence] input_ids, int64[batch, sequence] attention_mask, int64[batch, sequence] token_type_ids)
    => (float[batch, sequence, 4] hidden) <float[10, 4] words = {%s}, float[2, 4] types = {1, 2, 3, 4, 5, 6, 7, 8}> {
    word = Gather (words, input_ids)
    kind = Gather (types, token_type_ids)
    real = Cast <to = 1> (attention_mask)
    axis = Constant <value = int64[1] {-1}> ()
    column = Unsqueeze (real, axis)
    both = Add (word, kind)
    hidden = Mul (both, column)
}""" % ", ".join(str(value / 10) for value in range(40))  # noqa: UP031


def saved(folder: Path, text: str, header: str = HEADER, name: str = "model") -> Path:
    """The graph as a file."""
    path = folder / f"{name}.onnx"
    onnx.save(onnx.parser.parse_model(f"{header}\n{text}"), path)
    return path
