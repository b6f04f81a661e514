"""The protocol, on a simulated clock: time moves only when the timed call says so."""

from __future__ import annotations

import pytest

from bench.measure import clock, protocol
from bench.measure.protocol import Call, Protocol, measure, warm_up
from bench.phases import Phases
from reports.statistics import median_interval, speedup


class Machine:
    """A machine whose speed drifts: every run takes its cost times `drift` to the number of seconds gone."""

    def __init__(self, drift: float = 1.0) -> None:
        self.now, self.drift, self.stolen = 0.0, drift, 0.0
        self.log: list[str] = []

    def plan(self, name: str, cost_s: float) -> Call:
        def load() -> Call:
            self.log.append(f"load {name}")

            def run() -> None:
                self.log.append(name)
                self.now += cost_s * self.drift**self.now

            return run

        return load


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    simulated = Machine()
    monkeypatch.setattr(clock, "perf_counter_ns", lambda: round(simulated.now * 1e9))
    monkeypatch.setattr(protocol, "perf_counter", lambda: simulated.now)
    monkeypatch.setattr(protocol, "process_time", lambda: simulated.now * (1 - simulated.stolen))
    return simulated


def timed(machine: Machine, candidate_s: float, baseline_s: float, **changes: float) -> protocol.Samples:
    sides = machine.plan("A", candidate_s), machine.plan("B", baseline_s)
    return measure(sides, Protocol(**changes), Phases())  # type: ignore[arg-type]


def test_samples_are_microseconds_of_single_runs(machine: Machine) -> None:
    samples = timed(machine, 0.004, 0.008)
    assert {round(sample) for block in samples.candidate for sample in block} == {4000}
    assert {round(sample) for block in samples.baseline for sample in block} == {8000}


def test_a_block_holds_as_many_runs_as_fill_its_time_and_at_least_one(machine: Machine) -> None:
    samples = timed(machine, 0.004, 0.5)
    assert {len(block) for block in samples.candidate} == {5}
    assert {len(block) for block in samples.baseline} == {1}


def test_blocks_take_turns_so_that_drift_falls_on_both_sides(machine: Machine) -> None:
    machine.drift = 1.2
    samples = timed(machine, 0.02, 0.02, cap_s=5)
    drifted = median_interval([block[0] for block in samples.candidate])
    assert drifted.high / drifted.low > 1.2
    assert speedup(samples.candidate, samples.baseline, samples.loads).value == pytest.approx(1, abs=0.003)


def test_the_order_is_abba(machine: Machine) -> None:
    timed(machine, 0.03, 0.03, loads=1, warmup_s=0.03, cap_s=0.01)
    after_warm_up = "".join(name for name in machine.log if not name.startswith("load"))[-4:]
    assert after_warm_up == "ABBA"


def test_both_plans_are_loaded_afresh_in_alternating_order(machine: Machine) -> None:
    samples = timed(machine, 0.02, 0.02)
    loads = [name for name in machine.log if name.startswith("load")]
    assert len(samples.loads) == 5
    assert sum(samples.loads) == len(samples.candidate) == len(samples.baseline) >= 10
    assert loads == ["load A", "load B", "load B", "load A"] * 2 + ["load A", "load B"]


def test_a_steady_machine_stops_early_without_a_note(machine: Machine) -> None:
    samples = timed(machine, 0.02, 0.02, cap_s=1000)
    assert samples.notes == ()
    assert len(samples.loads) == 5


def test_what_stopped_a_noisy_measurement_is_said(machine: Machine) -> None:
    count = iter(range(10**6))

    def load() -> Call:
        def run() -> None:
            machine.now += 0.03 * 1.3 ** (next(count) * 7 % 10)

        return run

    samples = measure((load, load), Protocol(cap_s=4), Phases())
    assert [note.split(":")[0].split(" cap")[0] for note in samples.notes] == ["unsettled", "stopped by the 4 s"]


@pytest.mark.parametrize(("stolen", "said"), [(0.02, []), (0.25, ["busy: other work took 25% of the core while it was timed"])])
def test_other_work_on_the_core_is_noted(machine: Machine, stolen: float, said: list[str]) -> None:
    machine.stolen = stolen
    assert list(timed(machine, 0.02, 0.02).notes) == said


def test_warm_up_lasts_its_time_even_when_the_first_runs_agree(machine: Machine) -> None:
    assert warm_up(machine.plan("A", 0.01)(), Protocol())  # type: ignore[arg-type]
    assert machine.now >= 0.2


def test_warm_up_goes_on_while_runs_still_get_faster(machine: Machine) -> None:
    costs = iter([0.1, 0.08, 0.06, 0.04, 0.02, *[0.01] * 1000])

    def run() -> None:
        machine.now += next(costs)

    assert warm_up(run, Protocol(warmup_s=0.05))
    assert next(costs) == 0.01


def test_phases_are_named_for_the_record(machine: Machine) -> None:
    phases = Phases()
    measure((machine.plan("A", 0.02), machine.plan("B", 0.02)), Protocol(), phases)  # type: ignore[arg-type]
    assert [phase.name for phase in phases.done] == ["warm-up", "measure"]
