"""What each pass costs on a big graph: `python -m tests.fuzz.pass_cost MODEL.onnx [PASS...]`, or `--synthetic` for one of 2.2 GB.

Every pass runs in a process of its own on the file as it is and then `all` in one, each result kept only to be counted.
Seconds are of the pass alone, those of the processor too, for a machine that does other things; memory is the peak of
the process less what it had before the model was loaded, also as times the model's size.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from bench.passes import expand, find, fitted, names, routine
from variants.graph_pass import Setting
from variants.heavy import data_bytes

WIDTH, LAYERS = 3700, 41
GIGABYTE = 1e9


def synthetic(path: Path, width: int = WIDTH, layers: int = LAYERS) -> None:
    """x [batch, sequence, width] through `layers` of LayerNorm (nine nodes), MatMul, Add and the erf form of GELU, each weight its own."""
    draw, nodes, held, last = np.random.default_rng(0), [], [_stored("axis", np.array([-1]))], "x"
    held += [_stored(name, np.float32(number)) for name, number in {"two": 2, "eps": 1e-5, "root": 2**0.5, "one": 1, "half": 0.5}.items()]
    for layer in range(layers):
        weight = draw.standard_normal((width, width), np.float32) / np.float32(width**0.5)
        vectors = {"scale": np.ones(width), "shift": np.zeros(width), "bias": draw.normal(size=width)}
        held += [_stored(f"w{layer}", weight), *(_stored(f"{name}{layer}", array.astype(np.float32)) for name, array in vectors.items())]
        for op, inputs, output, attributes in _layer(last, layer):
            nodes.append(helper.make_node(op, inputs.split(), [output], f"/{layer}/{op}_{output}", **attributes))
        last = f"y{layer}"
    shapes: list[str | int | None] = ["batch", "sequence", width]
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes) for name in ("x", last)]
    graph = helper.make_graph(nodes, "big", ports[:1], ports[1:], held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path, save_as_external_data=True, location=f"{path.name}.data")


def _stored(name: str, value: np.ndarray | np.generic) -> TensorProto:
    return onnx.numpy_helper.from_array(np.asarray(value), name)


def _layer(x: str, i: int) -> list[tuple[str, str, str, dict[str, Any]]]:
    return [
        ("ReduceMean", x, f"m{i}", {"axes": [-1]}),
        ("Sub", f"{x} m{i}", f"c{i}", {}),
        ("Pow", f"c{i} two", f"q{i}", {}),
        ("ReduceMean", f"q{i}", f"v{i}", {"axes": [-1]}),
        ("Add", f"v{i} eps", f"e{i}", {}),
        ("Sqrt", f"e{i}", f"d{i}", {}),
        ("Div", f"c{i} d{i}", f"u{i}", {}),
        ("Mul", f"u{i} scale{i}", f"s{i}", {}),
        ("Add", f"s{i} shift{i}", f"n{i}", {}),
        ("MatMul", f"n{i} w{i}", f"p{i}", {}),
        ("Add", f"p{i} bias{i}", f"h{i}", {}),
        ("Div", f"h{i} root", f"r{i}", {}),
        ("Erf", f"r{i}", f"f{i}", {}),
        ("Add", f"f{i} one", f"o{i}", {}),
        ("Mul", f"h{i} o{i}", f"g{i}", {}),
        ("Mul", f"g{i} half", f"y{i}", {}),
    ]


def cost(path: Path, pipeline: str) -> dict[str, float | str]:
    """Seconds, peak bytes and rewrites of a pipeline on the model, in this process."""
    before = _peak()
    model = onnx.load(path)
    passes = [fitted(find(name), _setting(model.graph)) for name in expand([pipeline])]
    size, loaded, rewrites, seconds, slowest = data_bytes(model), _peak(), 0, 0.0, (0.0, "")
    busy = time.process_time()
    for declared in passes:
        start = time.perf_counter()
        model, count = declared.value.run(model)
        took = time.perf_counter() - start
        seconds, rewrites, slowest = seconds + took, rewrites + count, max(slowest, (took, declared.name))
    return {
        "seconds": seconds,
        "busy": time.process_time() - busy,
        "slowest": f"{slowest[1]} {slowest[0]:.1f} s",
        "size": size,
        "loading": loaded - before,
        "peak": _peak() - before,
        "rewrites": rewrites,
    }


def _setting(graph: onnx.GraphProto) -> Setting:
    """Every free dimension at 8, the outputs as they are."""
    free = {dim.dim_param for value in graph.input for dim in value.type.tensor_type.shape.dim if dim.dim_param}
    return Setting(dict.fromkeys(free, 8), dict.fromkeys(free, (1, 8, 16)), tuple(value.name for value in graph.output))


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """One line a pipeline; a pass that fails says why."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, nargs="?")
    parser.add_argument("passes", nargs="*")
    parser.add_argument("--synthetic", action="store_true")
    parser.add_argument("--child", action="store_true")
    given = parser.parse_args()
    if given.child:
        print(json.dumps(cost(given.model, given.passes[0])))
        return
    with tempfile.TemporaryDirectory() as folder:
        if given.synthetic:
            given.passes = [*([str(given.model)] if given.model else []), *given.passes]
            given.model = Path(folder) / "big.onnx"
            synthetic(given.model)
        for name in given.passes or [*routine(), *(n for n in names() if n.partition(":")[0] not in routine()), "all"]:
            words = [sys.executable, "-m", "tests.fuzz.pass_cost", str(given.model), name, "--child"]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            print(_line(name, done), flush=True)


def _line(name: str, done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode:
        return f"{name:32} FAILED {(done.stderr.strip().splitlines() or ['killed'])[-1]}"
    found = json.loads(done.stdout.splitlines()[-1])
    times = found["peak"] / found["size"]
    megabytes = f"{found['peak'] / 1e6:8.0f} MB peak, {times:.1f} x the model (loading {found['loading'] / found['size']:.1f} x)"
    taken = f"{found['seconds']:6.1f} s ({found['busy']:.1f} s of processor)"
    return f"{name:32} {taken} {megabytes} {found['rewrites']:5} rewrites; {found['slowest']}"


if __name__ == "__main__":
    main()
