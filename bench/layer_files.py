"""Layer information and profiles of any number of layers, in TensorRT 10's words: `python -m bench.layer_files 100000` reads them."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from itertools import accumulate
from pathlib import Path

BLOCK = (
    ("attn/qkv/MatMul", "gemm", "matrix"),
    ("attn/Softmax", "kgen", "soft-max"),
    ("attn/proj/MatMul + /vision_model/encoder/transformer/layers/blocks.{b}/attn/proj/Add", "gemm", "matrix"),
    ("Add_1", "PointWiseV2", "point"),
    ("norm2/LayerNormalization", "kgen", "norm"),
    ("mlp/fc1/MatMul + /vision_model/encoder/transformer/layers/blocks.{b}/mlp/fc1/Add", "gemm", "matrix"),
    ("mlp/act/Erf + /vision_model/encoder/transformer/layers/blocks.{b}/mlp/act/Mul_1", "PointWiseV2", "point"),
    ("mlp/fc2/Conv", "CaskGemmConvolution", "convolution"),
)
FORMAT = "Channel major FP16 format where channel % 8 == 0"
CONVOLUTION = {
    "ParameterType": "Convolution",
    "Kernel": [1, 1],
    "PaddingMode": "kEXPLICIT_ROUND_DOWN",
    "PrePadding": [0, 0],
    "PostPadding": [0, 0],
    "Stride": [1, 1],
    "Dilation": [1, 1],
    "OutMaps": 768,
    "Groups": 1,
    "Weights": {"Type": "Half", "Count": 589824},
    "Bias": {"Type": "Half", "Count": 768},
    "HasBias": 1,
    "Activation": "NONE",
}


def layer(at: int) -> dict[str, object]:
    """Layer number `at` of a transformer of reformats, products, point-wise layers and convolutions."""
    path, kind, what = BLOCK[at % len(BLOCK)]
    name = f"/vision_model/encoder/transformer/layers/blocks.{at // len(BLOCK)}/" + path.format(b=at // len(BLOCK))
    nodes = "\x1e".join(f"[ONNX Layer: {node}]" for node in name.split(" + "))
    more: dict[str, object] = dict(CONVOLUTION) if what == "convolution" else {}
    if what == "point":
        more = {"ParameterType": "PointWise", "NbOperations": 3, "Operations": ["auto const var0 = pwgen::iMax(arg0, literal1);"]}
    return {
        "Name": name,
        "LayerType": kind,
        "Inputs": [_tensor(f"tensor_{at}", 768), *([_tensor(f"tensor_{at - 1}", 768)] if what != "norm" else [])],
        "Outputs": [_tensor(f"tensor_{at + 1}", 768)],
        **more,
        "TacticName": f"sm80_xmma_gemm_f16f16_f16f16_f16_tn_n_tilesize128x128x32_stage{at % 5}_warpsize2x2x1_tensor16x8x16",
        "TacticValue": f"0x{at:016x}",
        "StreamId": 0,
        "Metadata": nodes,
    }


def _tensor(name: str, channels: int) -> dict[str, object]:
    return {"Name": name, "Location": "Device", "Dimensions": [8, channels, 14, 14], "Format/Datatype": FORMAT}


def pair(layers: int) -> tuple[bytes, bytes]:
    """(--exportProfile, --exportLayerInfo) of one engine; 388 layers have the sizes of TREx's largest example."""
    described = [layer(at) for at in range(layers)]
    info = {"Layers": described, "Bindings": ["tensor_0", f"tensor_{layers}"]}
    means = [0.001 + at * 7919 % 99_991 / 1e6 for at in range(layers)]
    *_, total = accumulate(means, initial=0.0)
    rows = [
        f'{{ "name" : {json.dumps(one["Name"])}, "timeMs" : {mean * 1000:.6g}, "averageMs" : {mean:.6g}, '
        f'"medianMs" : {mean * 0.99:.6g}, "percentage" : {mean / total * 100:.6g} }}\n'
        for one, mean in zip(described, means, strict=True)
    ]
    profile = '[\n  { "count" : 1000 }\n' + "".join(f", {row}" for row in rows) + "]\n"
    return profile.encode(), json.dumps(info).encode()


def main(layers: int) -> None:
    """Read a pair of so many layers once, as a command would, and print seconds and the process's peak of memory."""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        for name, data in zip(("x.profile.json", "x.graph.json"), pair(layers), strict=True):
            (here / name).write_bytes(data)
        # The writing needs more memory than the reading, which is measured in a process of its own.
        code = f"import bench.layer_files as b; b.measure({str(here / 'x.profile.json')!r})"
        subprocess.run([sys.executable, "-c", code], check=True)


def measure(profile: str) -> None:
    """One cold reading."""
    from reports.layers.read import read

    start = time.perf_counter()
    found = read([profile])
    seconds = time.perf_counter() - start
    # Not ru_maxrss, which a child inherits from the process that started it.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    print(f"{len(found.layers):,} layers: {seconds:.2f} s, peak {int(status['VmHWM'].split()[0]) / 1024:.0f} MB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
