"""`python -m bench.gpu.keep RUN`: what a GPU run measured, as the data and the tables of docs/measured."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import msgspec

from bench.backends._onnxruntime_cuda import CAPTURED
from bench.gpu.duel import DUELS
from bench.gpu.run import OPERATORS
from bench.matrix import split_pipeline
from common.errors import UserError
from reports.case import Case
from reports.gpu_passes import Duel, GpuCase, GpuPasses, Worth
from reports.journal import load
from reports.record import Measured, Record
from reports.run import Entry, Run, read_run, step_gain
from reports.statistics import Estimate, block_medians, median_interval


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 2 on bad input."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu.keep", description=__doc__)
    parser.add_argument("run", type=Path, help="the folder of a run, with its records.jsonl and operators.json")
    parser.add_argument("--out", type=Path, default=Path("docs/measured/passes-h200.json"))
    parser.add_argument("--commit", required=True, help="commit of the sources: they travel without git")
    parser.add_argument("--command", required=True, help="what was run")
    parser.add_argument("--whole", default="none", help="the pipeline whose passes are judged alone and left out")
    options = parser.parse_args(arguments)
    try:
        found = kept(options.run, split_pipeline(options.whole), {"commit": options.commit, "command": options.command})
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    options.out.write_bytes(lines(found))
    print(f"wrote {options.out}: {len(found.cases)} cases, {len(found.duels)} duels")
    return 0


def lines(found: GpuPasses) -> bytes:
    """JSON with a line for each case, duel and pass, so that a diff shows which were measured again."""
    parts = [b'{"environment":' + msgspec.json.encode(found.environment)]
    for name in ("cases", "duels", "worth"):
        rows = b",\n".join(msgspec.json.encode(row) for row in getattr(found, name))
        parts.append(b'"' + name.encode() + b'":[\n' + rows + b"\n]")
    return b",\n".join(parts) + b"}\n"


def kept(folder: Path, whole: tuple[str, ...], told: Mapping[str, str]) -> GpuPasses:
    """The records of a run without their single samples."""
    run = read_run(load(folder / "records.jsonl"))
    if not run.entries:
        raise UserError(f"{folder / 'records.jsonl'}: no record in it; run python -m bench.gpu.run first")
    path = folder / OPERATORS
    operators = json.loads(path.read_text()) if path.exists() else {}
    first = run.entries[0].record
    facts = dict(first.environment.facts) | {"utc": first.started} | dict(told)
    duels = load(folder / DUELS).records if (folder / DUELS).exists() else ()
    cases = tuple(_case(run, entry, operators) for entry in run.entries)
    return GpuPasses(facts, cases, tuple(_duel(record, run) for record in duels), tuple(_worth(run, whole)))


def _case(run: Run, entry: Entry, operators: Mapping[str, dict[str, int]]) -> GpuCase:
    record, outcome = entry.record, entry.record.outcome
    told = record.build.warnings if record.build else ()
    captured = CAPTURED in told
    common = GpuCase(
        case=entry.case,
        outcome=type(outcome).__name__.lower(),
        reason=entry.reason,
        graph="captured" if captured else next((text for text in told if text.startswith("no CUDA graph")), ""),
        on_cpu=next((text for text in told if "nodes on the CPU" in text), ""),
        plan=dict(record.digests).get("plan", "")[:16],
        steps=tuple((step.name, step.rewrites, step.after.nodes) for step in record.steps),
        operators=operators.get(entry.case.id, {}),
        snr_db=record.accuracy.worst_snr_db if record.accuracy else 0.0,
        agreement=record.accuracy.agreement if record.accuracy else 0.0,
    )
    if not isinstance(outcome, Measured) or entry.timing is None:
        return common
    return msgspec.structs.replace(
        common,
        median_us=entry.timing.median_us,
        over_raw=_gain(run, entry.case, msgspec.structs.replace(entry.case, passes=())),
        over_fp32=entry.timing.speedup,
        blocks_us=_medians(outcome.blocks_us),
        baseline_us=_medians(outcome.baseline_blocks_us),
        loads=outcome.loads,
        notes=outcome.notes,
    )


def _duel(record: Record, run: Run) -> Duel:
    outcome = record.outcome
    assert isinstance(outcome, Measured)
    return Duel(
        one=record.case,
        other=next(entry.case for entry in run.entries if entry.case.id == outcome.baseline),
        speedup=outcome.speedup,
        one_us=outcome.median_us,
        other_us=median_interval(block_medians(outcome.baseline_blocks_us), outcome.loads),
        blocks_us=_medians(outcome.blocks_us),
        other_blocks_us=_medians(outcome.baseline_blocks_us),
        loads=outcome.loads,
    )


def _worth(run: Run, whole: tuple[str, ...]) -> Iterator[Worth]:
    """Wherever the whole pipeline was timed and some pass of it left out."""
    for entry in run.timed:
        if entry.case.passes != whole:
            continue
        for place, name in enumerate(whole):
            raw = msgspec.structs.replace(entry.case, passes=())
            alone = _gain(run, msgspec.structs.replace(raw, passes=(name,)), raw)
            inside = _gain(run, entry.case, msgspec.structs.replace(raw, passes=whole[:place] + whole[place + 1 :]))
            if alone or inside:
                yield Worth(entry.case, name, alone, inside)


def _gain(run: Run, after: Case, before: Case) -> Estimate | None:
    known = steadiest(run)
    return step_gain(known[after], known[before]) if after in known and before in known else None


@lru_cache(maxsize=1)
def steadiest(run: Run) -> dict[Case, Entry]:
    """For every timed case the measurement of its plan with the narrowest interval.

    Passes that change nothing, or the same ones in another order, give the same plan, byte for byte: timing it under several
    names is timing it several times.
    """
    plans: dict[tuple[object, ...], list[Entry]] = {}
    for entry in run.timed:
        plans.setdefault((entry.place, dict(entry.record.digests).get("plan", entry.case)), []).append(entry)
    return {entry.case: min(same, key=_width) for same in plans.values() for entry in same}


def _width(entry: Entry) -> float:
    assert entry.timing is not None
    return entry.timing.speedup.half_width


def _medians(blocks: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """To a nanosecond, as the clock has it."""
    return tuple(round(float(value), 3) for value in block_medians(blocks))


if __name__ == "__main__":
    sys.exit(main())
