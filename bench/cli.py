"""The `trtbench` command: doctor, plan, passes, report, kernels, layers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.own_models import add_options
from common.errors import UserError

EXAMPLES = """examples:
  trtbench doctor                                   what this machine can run
  trtbench plan --preset full                       which cases would run, and why others would not
  trtbench plan --passes none,fold+fuse_layernorm --batches 1,8,32
  trtbench passes vit_digits --explain              what each graph pass does to a model, and why it leaves things alone
  trtbench report                                   render the newest run again
  trtbench report results/20260101-120000-quick --output page.html
  trtbench kernels build -k layernorm/v5 --arch sm_90
  trtbench layers profile.json layer_info.json      where the time of an engine goes
  trtbench tune vit_digits --batch 8 --max-loss "top1 0.5%"

The benchmarks themselves run under pytest, with the same options:
  pytest bench/ --benchmark-only --preset quick --precisions fp32,fp16
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; errors of the user's making are one line on stderr and exit status 2."""
    parser = _parser()
    options, words = parser.parse_known_args(arguments)
    options.words = words
    if words and not options.takes_words:
        parser.error(f"unrecognized arguments: {' '.join(words)}")
    try:
        status = options.run(options)
    except UserError as error:
        print(f"trtbench: {error}", file=sys.stderr)
        status = 2
    except BrokenPipeError:
        # The reader (head, less) has seen enough; closing stdout here keeps the interpreter from complaining at exit.
        sys.stderr.close()
        status = 0
    sys.exit(status)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="trtbench",
        description="Finds out what each TensorRT optimisation step is really worth.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(takes_words=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")
    doctor = commands.add_parser("doctor", help="say what this machine can run, and what to install for the rest")
    doctor.set_defaults(run=_doctor)
    plan = commands.add_parser("plan", help="list the cases that would run, the ones left out and why")
    plan.add_argument("--preset", default="quick", help="matrix of bench/presets.toml (default: quick)")
    for axis in ("variants", "sources", "passes", "precisions", "batches", "backends"):
        plan.add_argument(f"--{axis}", metavar="LIST", help=f"comma list of {axis} in place of the preset's")
    plan.add_argument("--keep", metavar="LIST", help="nodes that every lowered precision leaves as they are (docs/precisions.md)")
    add_options(plan.add_argument)
    plan.set_defaults(run=_plan)
    passes = commands.add_parser("passes", help="list the graph passes, or say what a pipeline does to a model", add_help=False)
    passes.set_defaults(run=_passes, takes_words=True)
    report = commands.add_parser("report", help="render the HTML report of a run again")
    where = "folder of a run or a records file (default: results/latest)"
    report.add_argument("run_path", nargs="?", default="results/latest", metavar="RUN", help=where)
    report.add_argument("--output", type=Path, help="HTML file to write (default: report.html beside the records)")
    report.set_defaults(run=_report)
    kernels = commands.add_parser("kernels", help="compile the kernel versions for every GPU generation; needs no GPU", add_help=False)
    kernels.add_argument("action", choices=["build"], help="build: compile, and print registers, shared memory, spills and code size")
    kernels.set_defaults(run=_kernels, takes_words=True)
    layers = commands.add_parser("layers", help="rank the layers of a TensorRT or ONNX Runtime profile, or compare two", add_help=False)
    layers.set_defaults(run=_layers, takes_words=True)
    tune = commands.add_parser("tune", help="find the fastest graph that stays within an accuracy", add_help=False)
    tune.set_defaults(run=_tune, takes_words=True)
    return parser


def _passes(options: argparse.Namespace) -> int:
    from bench.pass_command import main as passes

    return passes(options.words)


def _layers(options: argparse.Namespace) -> int:
    from bench.layers import main as layers

    return layers(options.words)


def _tune(options: argparse.Namespace) -> int:
    from bench.tune.command import main as tune

    return tune(options.words)


def _kernels(options: argparse.Namespace) -> int:
    from bench.kernels.build import main as build

    return build(options.words)


def _doctor(_: argparse.Namespace) -> int:
    from bench.doctor import examine

    failed = False
    for finding in examine():
        mark = "ok     " if not finding.remedy else "missing" if finding.needed else "absent "
        print(f"{mark}  {finding.what:<22} {finding.detail}")
        if finding.remedy:
            print(f"{'':9}{'':<22} -> {finding.remedy}")
        failed |= bool(finding.remedy) and finding.needed
    return int(failed)


def _plan(options: argparse.Namespace) -> int:
    from bench.matrix import AXES, choose, plan
    from bench.own_models import with_own
    from variants.find import find

    given = {axis: getattr(options, axis) for axis in AXES}
    given["variants"] = with_own(given["variants"], lambda name: getattr(options, name))
    planned = list(plan(choose(options.preset, given, keep=options.keep)))
    lines = []
    for cell in planned:
        if cell.left_out:
            lines.append(f"left out  {cell.case.id}: {cell.left_out}")
        elif cell.unavailable:
            lines.append(f"cannot    {cell.case.id}: {cell.unavailable}")
        else:
            lines.append(f"run       {cell.case.id}")
    runs = sum(not (cell.left_out or cell.unavailable) for cell in planned)
    cannot = sum(bool(cell.unavailable) and not cell.left_out for cell in planned)
    own = {name: find(name) for name in dict.fromkeys(cell.case.variant for cell in planned)}
    lines += [f"fed       {name}: {declared.label}" for name, declared in own.items() if declared.value.ready is not None]
    print("\n".join(lines))
    print(f"{runs} to run, {cannot} that cannot run here, {len(planned) - runs - cannot} left out")
    return 0


def _report(options: argparse.Namespace) -> int:
    from reports.html import write_report
    from reports.journal import load, records_of

    records = records_of(Path(options.run_path))
    journal = load(records)
    for warning in journal.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    output = options.output or records.parent / "report.html"
    write_report(journal, output)
    print(output)
    return 0


if __name__ == "__main__":
    main()
