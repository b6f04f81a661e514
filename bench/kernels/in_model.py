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
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from bench.kernels.clocks import Watch
from bench.kernels.environment import describe
from bench.kernels.in_model_record import Cell, Contender, lines, markdown
from bench.kernels.models import MODELS, Network
from bench.kernels.norms import Swap
from plugins.device import unavailable
from plugins.discovery import families, kernels
from plugins.kernel import Kernel

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 when every cell was timed, 2 on a machine without a usable GPU."""
    parser = argparse.ArgumentParser(prog="python -m bench.kernels.in_model", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/in_model.json"))
    parser.add_argument("--commit", default="", help="commit of the sources when git is not at hand")
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
        print("\n".join(lines(cell)), flush=True)
    facts = describe(versions, "python -m bench.kernels.in_model", options.commit)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    body = {
        "environment": facts,
        "blocks": options.blocks,
        "cells": [asdict(c) for c in cells],
    }
    options.out.write_text(json.dumps(body) + "\n", encoding="utf-8")
    options.out.with_suffix(".md").write_text(markdown(cells, facts), encoding="utf-8")
    print(f"wrote {options.out}")
    return 0


def measure(versions: Sequence[Kernel], dtypes: Sequence[str], blocks: int) -> Iterator[Cell]:
    """One cell for every model, batch and precision."""
    for dtype in dtypes:
        for network in MODELS:
            for batch in network.batches:
                yield _cell(network, batch, dtype, versions, blocks)
                torch.cuda.empty_cache()


def _cell(network: Network, batch: int, dtype: str, versions: Sequence[Kernel], blocks: int) -> Cell:
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
    timed = [Contender(n, tuple(s), e) for (n, (_, e)), s in zip(graphs.items(), samples, strict=True)]
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
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        call()
        call()
    stream.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=stream):
        call()
    return graph


def _turns(graphs: Sequence[Any], blocks: int, block_ms: float = 20.0) -> list[list[float]]:
    """Microseconds a replay, a block at a time; odd rounds run in the opposite order (ABBA)."""
    replays = [max(1, math.ceil(block_ms / (_replay_us(g, 20) / 1e3))) for g in graphs]
    samples: list[list[float]] = [[] for _ in graphs]
    for number in range(blocks):
        order = range(len(graphs)) if number % 2 == 0 else reversed(range(len(graphs)))
        for i in order:
            samples[i].append(_replay_us(graphs[i], replays[i]))
    return samples


def _replay_us(graph: Any, count: int) -> float:
    start, end = (
        torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        for _ in range(2)
    )
    start.record()
    for _ in range(count):
        graph.replay()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) * 1e3 / count


if __name__ == "__main__":
    sys.exit(main())
