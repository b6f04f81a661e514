"""A small graph of blocks, and a made world whose noise and times are known exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bench.precisions import KEEP
from bench.tune.budget import Budget
from bench.tune.candidates import Space
from bench.tune.goal import Goal, parse
from bench.tune.probe import Half, Probe
from bench.tune.quest import Quest
from common.errors import UserError
from reports.accuracy import Accuracy, OutputError, Spread
from reports.case import Case
from reports.record import Environment, Measured, Record
from reports.statistics import Estimate
from variants.lowering.keep import resolve

WIDTH = 24


def network(blocks: int = 3, planted: int | None = None, named: bool = True) -> onnx.ModelProto:
    """float32 [n, WIDTH] -> [n, WIDTH]: per block x + fc2(relu(fc1(layernorm(x)))).

    In block `planted`, one channel behind the LayerNorm is a thousand times as large and the row of fc1 that reads it a
    thousandth: the same function in float32, but one scale for the tensor leaves nothing of the other channels.
    """
    random = np.random.default_rng(5)
    weights: dict[str, np.ndarray] = {}
    nodes, last = [], "x"
    for block in range(blocks):
        at = f"/blocks.{block}"
        scale = np.ones(WIDTH, np.float32)
        first = (random.standard_normal((WIDTH, 2 * WIDTH)) / WIDTH**0.5).astype(np.float32)
        second = (random.standard_normal((2 * WIDTH, WIDTH)) / WIDTH**0.5).astype(np.float32)
        if block == planted:
            scale[3] *= 1000
            first[3] /= 1000
        weights |= {f"{at}/scale": scale, f"{at}/shift": np.zeros(WIDTH, np.float32), f"{at}/first": first, f"{at}/second": second}
        steps = (
            ("LayerNormalization", f"{at}/norm/LayerNormalization", [last, f"{at}/scale", f"{at}/shift"]),
            ("MatMul", f"{at}/fc1/MatMul", [f"{at}/norm/LayerNormalization_out", f"{at}/first"]),
            ("Relu", f"{at}/Relu", [f"{at}/fc1/MatMul_out"]),
            ("MatMul", f"{at}/fc2/MatMul", [f"{at}/Relu_out", f"{at}/second"]),
            ("Add", f"{at}/Add", [last, f"{at}/fc2/MatMul_out"]),
        )
        nodes += [helper.make_node(op, inputs, [f"{name}_out"], name=name if named else "") for op, name, inputs in steps]
        last = f"{at}/Add_out"
    graph = helper.make_graph(
        nodes,
        "blocks",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", WIDTH])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, ["batch", WIDTH])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def accuracy(noise: float, agreement: float = 1.0) -> Accuracy:
    """One output with this noise over signal."""
    snr = 300.0 if noise == 0 else float(-10 * np.log10(noise))
    spread = Spread(noise, noise, noise, noise)
    return Accuracy(10, (OutputError("y", 10, 0, spread, spread, 1 - noise, snr),), agreement, "top-1", None, None)


@dataclass
class MadeWorld:
    """Every low unit adds its noise and takes away its time; `log` is what was asked of it."""

    model: onnx.ModelProto
    noise: Mapping[str, float]
    saved: Mapping[str, float]
    whole_us: float = 1000.0
    passes_us: Mapping[str, float] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)

    def graph(self, case: Case) -> onnx.ModelProto:
        if "broken" in case.passes:
            raise UserError("broken: breaks this graph")
        return self.model

    def low(self, case: Case) -> set[str]:
        name, *patterns = case.precision.split(KEEP)
        kept = resolve(self.model, patterns)
        return set() if name == "fp32" else {unit for unit in self.noise if f"{unit}/MatMul" not in kept}

    def probe(self, case: Case, half: Half = "choosing") -> Probe:
        self.log.append(f"probe {case.precision}")
        if case.precision.startswith("fp16"):
            return Probe(None, "no kernels")
        return Probe(accuracy(sum(self.noise[unit] for unit in self.low(case)) + 1e-12))

    def profile(self, case: Case) -> list[tuple[str, float]]:
        low = self.low(case)
        return [(f"{unit}/MatMul", 200.0 - (self.saved[unit] if unit in low else 0)) for unit in self.noise]

    def program(self, case: Case) -> str:
        if "refused" in case.passes:
            raise UserError("refused: not with this graph")
        return case.id

    def idle(self, case: Case) -> frozenset[str]:
        return frozenset({"fold"})

    def known(self, case: Case) -> bool:
        return False

    def us(self, case: Case) -> float:
        gained = sum(self.saved[unit] for unit in self.low(case)) + sum(self.passes_us.get(name, 0) for name in case.passes)
        return self.whole_us - gained

    def record(self, case: Case) -> Record:
        self.log.append(f"time {case.pipeline} {case.precision}")
        blocks = tuple((self.us(case),) for _ in range(10))
        outcome = Measured(blocks, "raw", tuple((self.whole_us,) for _ in range(10)), (), (5, 5))
        found = self.probe(case).accuracy
        return Record("made", case, outcome, "now", Environment("here", ()), accuracy=found)

    def duel(self, one: Case, other: Case) -> Estimate:
        ratio = self.us(other) / self.us(one)
        return Estimate(ratio, ratio * 0.99, ratio * 1.01)


def quest(world: MadeWorld, goal: str = "snr 30dB", seconds: float = 1e9, pipelines: Sequence[str] = ("none", "fold")) -> Quest:
    """A search of int8 in a made world; its clock moves a second whenever it is read."""
    ticks = iter(range(10**9))
    wanted: Goal = parse(goal, "top-1")
    space = Space("made", 8, "onnxruntime", tuple(pipelines), ("fp32", "fp16", "int8_minmax"), (("none", "int8_minmax"), ("fold", "fp32")))
    return Quest(world, space, wanted, Budget(seconds, lambda: float(next(ticks))), lambda *_: None)
