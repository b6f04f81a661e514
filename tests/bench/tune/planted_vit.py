"""vit_digits with an outlier channel: `python -m tests.bench.tune.planted_vit FOLDER` writes planted.onnx and inputs.npz.

One channel behind the first LayerNorm becomes a thousand times as large, and the row of the product that reads it a
thousandth: in float32 the same function, in int8 with one scale a tensor nothing is left of the other channels.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from variants.export import export
from variants.models.vit_digits import vit_digits

LAYER, NORM, CHANNEL, FACTOR = "/blocks.0/attn/qkv", "blocks.0.norm1", 17, 1000.0


def plant(model: onnx.ModelProto) -> onnx.ModelProto:
    """Scale a channel of NORM up, and the row of LAYER's weight that reads it down; the model is changed in place."""
    weight = next(node.input[1] for node in model.graph.node if node.name == f"{LAYER}/MatMul")
    scaled = {weight: 1 / FACTOR, f"{NORM}.weight": FACTOR, f"{NORM}.bias": FACTOR}
    found = [tensor for tensor in model.graph.initializer if tensor.name in scaled]
    assert len(found) == len(scaled), "the export names its weights otherwise"
    for tensor in found:
        values = numpy_helper.to_array(tensor).copy()
        values[CHANNEL] *= scaled[tensor.name]
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return model


def main(folder: Path) -> None:
    """Write both files: 128 images to calibrate on, then the 360 of the test split."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "planted.onnx"
    export(vit_digits, path, 1)
    onnx.save(plant(onnx.load(path)), path)
    images = [vit_digits.inputs(split)["images"] for split in ("calibration", "test")]
    np.savez(folder / "inputs.npz", images=np.concatenate(images))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
