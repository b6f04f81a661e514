"""`trtbench passes`: what there is, and what a pipeline does to a model step by step, without timing anything."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.layers import Parser
from bench.own_models import add_options, with_own
from common.errors import UserError

if TYPE_CHECKING:
    import onnx

    from bench.artefacts import Transformed
    from reports.record import GraphSize, Step

EXAMPLES = """examples:
  trtbench passes                                   every pass, in the order of 'all'
  trtbench passes vit_digits                        what 'all' does to a model, pass by pass
  trtbench passes bert:base --passes fold+fuse_gelu --explain
  trtbench passes vit:base --passes all+fix_shapes --batch 8 --save vit.onnx
  trtbench passes vit_digits --nodes '*attn*'       the names that --precisions 'int8_entropy~NAME' may keep
  trtbench passes --onnx model.onnx --dim sequence=128

  trtbench passes --table results/latest            what each was worth, measured by a run of --preset passes

What each is worth in time is measured by: make bench BENCH="--preset passes --variants vit_digits"
"""


def main(words: Sequence[str]) -> int:
    """Run the command on the words behind `trtbench passes`; raises UserError."""
    options = _parser().parse_args(words)
    if options.table:
        print(_table(options.table), end="")
        return 0
    given = with_own(options.variant, lambda name: getattr(options, name))
    if given is None:
        print("\n".join(_listed()))
        return 0
    for name in given.split(","):
        _one(name, options)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="trtbench passes",
        description="List the graph passes, or apply a pipeline to a model and say what each pass did.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("variant", nargs="?", metavar="VARIANT", help="a model and size, such as vit_digits or bert:base")
    parser.add_argument("--passes", default="all", metavar="PIPELINE", help="passes joined by + (default: all)")
    parser.add_argument("--precision", default="fp32", metavar="PRECISION", help="precision behind the passes (default: fp32)")
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="the batch of the case (default: 1)")
    parser.add_argument("--explain", action="store_true", help="say what looked like a match and was left alone, and why")
    parser.add_argument("--nodes", nargs="?", const="*", metavar="GLOB", help="list the nodes of the resulting graph by name")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write the resulting graph there")
    where = "print the pass table of a run as Markdown (default: results/latest), made by --preset passes"
    parser.add_argument("--table", nargs="?", const="results/latest", metavar="RUN", help=where)
    parser.add_argument("--cache", type=Path, default=Path(".trtbench/cache"), metavar="DIR", help="where artefacts are kept")
    add_options(parser.add_argument)
    return parser


def _listed() -> Iterator[str]:
    from bench.passes import routine
    from common.discover import discover
    from variants.graph_pass import GraphPass, OptionPass
    from variants.plugin_pass import PluginPass

    passes = discover("variants.passes", GraphPass)
    others = sorted((name for name in passes if name not in routine()), key=lambda name: (passes[name].value.stage, name))
    for title, listed in (("in 'all', in this order:", routine()), ("by name only:", tuple(others))):
        yield title
        for name in listed:
            value = passes[name].value
            choice = ":VERSION" if isinstance(value, PluginPass) else ":" + "|".join(value.options) if isinstance(value, OptionPass) else ""
            notes = [f"needs {value.domain}"] * bool(value.domain) + [f"changes: {value.changes}"] * bool(value.changes)
            said = f" ({'; '.join(notes)})" if notes else ""
            yield f"  {name + choice:<30} {passes[name].label}{said}"


def _table(run: str) -> str:
    from reports.journal import load, records_of
    from reports.markdown import markdown
    from reports.run import read_run
    from reports.sections.pass_table import pass_table

    records = records_of(Path(run))
    blocks = pass_table.blocks(read_run(load(records)))
    if not blocks:
        raise UserError(f"{records}: no case ran the pipeline 'all'; run: pytest bench/ --benchmark-only --preset passes")
    return markdown(blocks)


def _one(name: str, options: argparse.Namespace) -> None:
    from bench.artefacts import Artefacts
    from bench.cache import Cache
    from bench.matrix import split_pipeline
    from bench.passes import expand, find
    from bench.phases import Phases
    from bench.precisions import find as find_precision
    from reports.case import Case
    from variants.find import find as find_variant

    variant = find_variant(name)
    pipeline = split_pipeline(options.passes)
    for single in expand(pipeline):
        find(single)
    find_precision(options.precision)
    if why := variant.value.why_not(options.batch):
        raise UserError(f"{variant.name}: {why}")
    phases = Phases(lambda phase: print(f"\r{phase:<60}", end="", file=sys.stderr) if sys.stderr.isatty() else None)
    case = Case(variant.name, pipeline, options.precision, options.batch, "onnxruntime")
    done = Artefacts(Cache(options.cache)).transformed(case, phases)
    seconds = {phase.name: "cached" if phase.cached else f"{phase.seconds:.1f} s" for phase in phases.done}
    print("\r" * sys.stderr.isatty() + "\n".join(_said(case.id, done, seconds, options.explain)))
    _deliver(done, options)


def _said(name: str, done: Transformed, seconds: dict[str, str], explain: bool) -> Iterator[str]:
    yield f"{name}: {_size(done.model.size) if done.model else ''}"
    for step in done.steps:
        took = seconds.get(f"pass {step.name}") or seconds.get(f"precision {step.name}", "")
        yield f"  {step.name:<24} {_rewrites(step):<14} {_change(step):<44} {took}"
        if explain:
            yield from (f"      left alone: {sentence}" for sentence in step.declined)
    if done.result:
        moved = f"{done.result.bytes_moved / 1e6:,.1f} MB moved"
        before = f" (export: {done.model.bytes_moved / 1e6:,.1f})" if done.model else ""
        yield f"  as built: {_size(done.result.size)}, {moved}{before} at {done.result.sizes}"


def _size(size: GraphSize) -> str:
    return f"{size.nodes:,} nodes, {size.tensors:,} tensors, {size.parameter_bytes / 1e6:,.2f} MB of constants"


def _rewrites(step: Step) -> str:
    return f"{step.rewrites:,} rewrite{'' if step.rewrites == 1 else 's'}" if step.rewrites else "no effect"


def _change(step: Step) -> str:
    if step.before == step.after:
        return ""
    nodes = f"{step.before.nodes:,} → {step.after.nodes:,} nodes"
    constants = (step.after.parameter_bytes - step.before.parameter_bytes) / 1e6
    return nodes + (f", {constants:+,.2f} MB" if abs(constants) >= 0.005 else "")


def _deliver(done: Transformed, options: argparse.Namespace) -> None:
    import onnx

    if options.nodes:
        print("\n".join(_nodes(onnx.load(done.graph.path, load_external_data=False), options.nodes)))
    if options.save:
        _save(done.graph.path, options.save)
        print(f"  saved: {options.save}")


def _nodes(model: onnx.ModelProto, pattern: str) -> list[str]:
    from fnmatch import fnmatchcase

    from variants.lowering.keep import named

    found = [node for node in named(model).graph.node if fnmatchcase(node.name, pattern)]
    if not found:
        raise UserError(f"--nodes: '{pattern}' matches no node; leave the pattern out to see all of them")
    return [f"  {node.op_type:<24} {node.name}" for node in found]


def _save(graph: Path, file: Path) -> None:
    """With its weights in one file, or beside it where they are too large for one."""
    import onnx

    from variants.heavy import EXTERNAL_ABOVE

    beside = [path for path in graph.parent.iterdir() if path.name.startswith(f"{graph.name}.")]
    try:
        if beside and sum(path.stat().st_size for path in beside) > EXTERNAL_ABOVE:
            onnx.save(onnx.load(graph), file, save_as_external_data=True, location=f"{file.name}.data")
            return
        with tempfile.TemporaryDirectory(dir=file.resolve().parent) as folder:
            written = Path(folder) / file.name
            shutil.copyfile(graph, written)
            written.replace(file)
    except OSError as error:
        raise UserError(f"{file}: cannot be written ({error.strerror}); choose another place with --save") from error
