"""`python -m bench.kernels.in_model`: does a LayerNorm's gain survive inside ViT-B/16 and BERT-base?

Each model is built with seeded weights, its LayerNorms are replaced by one version after another,
and every forward pass is one CUDA graph. Graphs take turns, block by block. `removed` passes x
through instead of normalising it: no kernel can gain more than it does. `torch` is what the model
came with.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from bench.kernels.clocks import Watch
from bench.kernels.environment import describe
from bench.kernels.measurement import Clocks
from bench.kernels.models import MODELS, Network
from bench.kernels.norms import Swap
from bench.kernels.stats import median_interval, ratio_interval
from plugins.device import unavailable
from plugins.discovery import families, kernels
from plugins.kernel import Kernel

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}


@dataclass(frozen=True, slots=True)
class Contender:
    """One way of normalising: block samples in microseconds a forward pass.

    `error` is the relative distance of the output from the unchanged model in float64.
    """

    name: str
    samples_us: tuple[float, ...]
    error: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """One model at one batch and precision, all contenders in turns."""

    model: str
    batch: int
    dtype: str
    norms: int
    norm_rows: int
    contenders: tuple[Contender, ...]
    clocks: Clocks | None


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 when every cell was timed, 2 on a machine without a usable GPU."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.kernels.in_model", description=__doc__
    )
    parser.add_argument("--out", type=Path, default=Path("results/in_model.json"))
    parser.add_argument(
        "--commit", default="", help="commit of the sources when git is not at hand"
    )
    parser.add_argument("--blocks", type=int, default=60, help="blocks a contender")
    parser.add_argument("--dtypes", nargs="+", default=["fp16"], choices=list(DTYPES))
    options = parser.parse_args(arguments)
    reason = unavailable()
    if reason:
        print(reason, file=sys.stderr)
        return 2
    versions = kernels(families()["layernorm"])
    cells = []
    for cell in measure(versions, options.dtypes, options.blocks):
        cells.append(cell)
        print("\n".join(table(cell)), flush=True)
    facts = describe(versions, "python -m bench.kernels.in_model", options.commit)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    body = {
        "environment": facts,
        "blocks": options.blocks,
        "cells": [asdict(c) for c in cells],
    }
    options.out.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {options.out}")
    return 0


def measure(
    versions: Sequence[Kernel], dtypes: Sequence[str], blocks: int
) -> Iterator[Cell]:
    """One cell for every model, batch and precision."""
    for dtype in dtypes:
        for network in MODELS:
            for batch in network.batches:
                yield _cell(network, batch, dtype, versions, blocks)
                torch.cuda.empty_cache()


def table(cell: Cell) -> list[str]:
    """Latency of each contender, its ratio to torch with interval, and the share of LayerNorm it saves."""
    by_name = {c.name: c for c in cell.contenders}
    base, least = by_name["torch"].samples_us, by_name["removed"].samples_us
    most = median_interval(base).median_us - median_interval(least).median_us
    lines = [
        f"{cell.model} batch {cell.batch} {cell.dtype}: {cell.norms} LayerNorms of {cell.norm_rows} rows"
    ]
    for one in cell.contenders:
        if one.reason:
            lines.append(f"  {one.name:14s} {one.reason}")
            continue
        got = median_interval(one.samples_us)
        ratio, low, high = ratio_interval(one.samples_us, base)
        saved = (median_interval(base).median_us - got.median_us) / most
        lines.append(
            f"  {one.name:14s} {got.median_us:9.1f} us [{got.low_us:.1f}, {got.high_us:.1f}]  "
            f"{ratio:.4f} x torch [{low:.4f}, {high:.4f}]  saves {saved:6.1%} of LayerNorm  error {one.error:.1e}"
        )
    return lines


def _cell(
    network: Network, batch: int, dtype: str, versions: Sequence[Kernel], blocks: int
) -> Cell:
    model, feed = network.build(batch)
    exact = _forward(model.double(), network.cast(feed, torch.float64))()
    model = model.to(DTYPES[dtype])
    call = _forward(model, network.cast(feed, DTYPES[dtype]))
    swap = Swap(model)
    plain = _distance(call(), exact)
    graphs: dict[str, tuple[Any, float]] = {}
    refused: list[Contender] = []
    for name, choose in swap.choices(versions, dtype).items():
        reason = choose()
        error = math.nan if reason else _distance(call(), exact)
        # Correctness before the clock: a version may not be worse than twice what torch's own rounding costs.
        if not reason and name != "removed" and not error <= 2 * plain:
            reason = f"wrong: {error:.1e} from float64, torch's own is {plain:.1e}; not timed"
        if reason:
            refused.append(Contender(name, (), error, reason))
        else:
            graphs[name] = (_capture(call), error)
    with Watch() as watch:
        samples = _turns([g for g, _ in graphs.values()], blocks)
    timed = [
        Contender(n, tuple(s), e)
        for (n, (_, e)), s in zip(graphs.items(), samples, strict=True)
    ]
    return Cell(
        network.name,
        batch,
        dtype,
        swap.count,
        swap.rows,
        tuple(timed + refused),
        watch.clocks,
    )


def _forward(model: Any, feed: dict[str, Any]) -> Callable[[], Any]:
    def call() -> Any:
        with torch.inference_mode():
            return model(**feed).last_hidden_state

    return call


def _distance(got: Any, exact: Any) -> float:
    return float((got.double() - exact).norm() / exact.norm())


def _capture(call: Callable[[], Any]) -> Any:
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        call()
        call()
    stream.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        call()
    return graph


def _turns(
    graphs: Sequence[Any], blocks: int, block_ms: float = 20.0
) -> list[list[float]]:
    """Microseconds a replay, a block at a time; odd rounds run in the opposite order (ABBA)."""
    replays = [max(1, math.ceil(block_ms / (_replay_us(g, 20) / 1e3))) for g in graphs]
    samples: list[list[float]] = [[] for _ in graphs]
    for number in range(blocks):
        order = range(len(graphs)) if number % 2 == 0 else reversed(range(len(graphs)))
        for i in order:
            samples[i].append(_replay_us(graphs[i], replays[i]))
    return samples


def _replay_us(graph: Any, count: int) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(count):
        graph.replay()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) * 1e3 / count


if __name__ == "__main__":
    sys.exit(main())
