"""`trtbench tune`: the fastest graph of a variant that stays within the accuracy asked for."""

from __future__ import annotations

import argparse
import hashlib
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import msgspec

import variants
from bench import tune
from bench.artefacts import Artefacts
from bench.backend import Backend
from bench.cache import Cache, sources
from bench.environment import environment
from bench.matrix import Preset, choose, presets
from bench.own_models import HELP, add_options, with_own
from bench.phases import Phases
from bench.session import Session, open_session
from bench.tune import budget as time_budget
from bench.tune import goal as goals
from bench.tune.candidates import Space, all_precisions, by_hand, pipelines_of
from bench.tune.lab import Lab
from bench.tune.notebook import Notebook
from bench.tune.output import lines
from bench.tune.picture import tune_page
from bench.tune.point import fastest
from bench.tune.progress import Progress
from bench.tune.quest import Quest
from bench.tune.result import Request, Result, result
from bench.tune.search import search
from common.discover import discover
from common.errors import UserError, unknown
from reports.case import Case
from reports.html import write_page

NOTES, RESULT, PAGE = "notes.jsonl", "tune.json", "tune.html"
EXAMPLES = """examples:
  trtbench tune vit_digits --backend onnxruntime --batch 8 --max-loss "top1 0.5%"
  trtbench tune bert:base --batch 1 --max-loss "snr 30dB" --budget 30m
  trtbench tune --onnx model.onnx --max-loss "cosine 0.999"

--max-loss takes snr (dB), cosine, error (the largest absolute one), agreement or metric (share of inputs), or the task
metric by its own name. A search that was stopped goes on where it was when the same command is given again; another
--max-loss uses what is known. docs/tune.md says what is tried, in which order, and which data chooses what.
"""


class Parser(argparse.ArgumentParser):
    """One sentence for a mistake, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        """Raises UserError."""
        raise UserError(f"{message}; see {self.prog} --help")


def main(words: Sequence[str]) -> int:
    """Run the command on the words behind `trtbench tune`; 1 where nothing reaches the goal. Raises UserError."""
    options = _parser().parse_args(words)
    budget_s = time_budget.parse(options.budget)
    choice = _choice(options)
    preset, (variant,) = choice, choice.variants
    backend = _backend(options.backend)
    model = Artefacts(Cache(options.cache), {name: Path(path) for name, path in preset.checkpoints.items()})
    value = model.variant(variant).value
    if reason := value.why_not(options.batch):
        raise UserError(f"{variant}: {reason}")
    goal = goals.parse(options.max_loss, value.metric, tuple(value.measures))
    space = _space(options, variant, backend)
    session = _session(options, preset, space, model)
    request = Request(variant, options.backend, options.batch, goal.text, budget_s, options.preset, value.metric)
    request = msgspec.structs.replace(
        request, own=value.ready is not None, words=_words(options), asked=shlex.join(["trtbench", "tune", *words])
    )
    return _run(session, space, goal, request)


def _run(session: Session, space: Space, goal: goals.Goal, request: Request) -> int:
    budget = time_budget.Budget(request.budget_s)
    progress = Progress(budget, live=sys.stderr.isatty())
    quest = Quest(Lab(session, Notebook(session.folder / NOTES)), space, goal, budget, progress)
    stopped = False
    try:
        search(quest)
    except KeyboardInterrupt:
        stopped, quest.found.winner = True, fastest(quest.found.points)
    progress.end()
    came = result(quest.found, request, goal, session.pipeline.environment, budget.spent)
    written = _write(session, came, goal)
    if came.choice is not None:
        print("\n".join((*lines(came), *written)))
    if stopped:
        print(f"trtbench: stopped; the same command goes on where it was ({session.folder})", file=sys.stderr)
        return 130
    if came.choice is None:
        print(f"trtbench: {_unreached(came)}", file=sys.stderr)
    return int(came.choice is None)


def _unreached(came: Result) -> str:
    """Why there is no choice: nothing timed is good enough, or nothing was timed."""
    if came.points:
        return f"{came.request.goal}: cannot be reached, {came.nearest}"
    if came.untried:
        return f"the budget of {time_budget.said(came.request.budget_s)} was spent before anything was timed: run the same command again"
    return f"nothing could be timed: {next(iter(came.left_out.values()), 'no reason was given')}"


def _write(session: Session, came: Result, goal: goals.Goal) -> list[str]:
    path, pictures = session.folder / RESULT, session.folder / PAGE
    write_page(msgspec.json.format(msgspec.json.encode(came), indent=1).decode() + "\n", path)
    write_page(tune_page(came, goal), pictures)
    report = session.close()
    return [f"result    {path}", f"pictures  {pictures}"] + ([f"report    {report}"] if report else [])


def _choice(options: argparse.Namespace) -> Preset:
    """The preset's limits with this one variant, backend and batch."""
    named = with_own(options.variant, lambda name: getattr(options, name))
    if not named or "," in named:
        raise UserError(f"name one variant, such as vit_digits, or one --onnx file; got {named or 'none'}")
    given = {"variants": named, "backends": options.backend, "batches": str(options.batch)}
    given |= {axis: getattr(options, axis) for axis in ("passes", "precisions") if getattr(options, axis)}
    return choose(options.preset, given, options.threads, options.checkpoint).preset


def _backend(name: str) -> Backend:
    known = discover("bench.backends", Backend)
    if name not in known:
        raise unknown("backend", name, known)
    backend: Backend = known[name].value
    if reason := backend.unavailable() or backend.why_not_run():
        raise UserError(f"--backend {name}: {reason}; tune times what it finds, so choose a backend that runs here")
    return backend


def _space(options: argparse.Namespace, variant: str, backend: Backend) -> Space:
    """The candidates; --passes and --precisions restrict them, and with them what counts as chosen by hand."""
    hand = by_hand(variant, presets(), options.backend)
    given = {axis: _listed(getattr(options, axis)) for axis in ("passes", "precisions")}
    passes = given["passes"] or pipelines_of(backend, tuple(dict.fromkeys(pipeline for pipeline, _ in hand)))
    precisions = tuple(dict.fromkeys(("fp32", *(given["precisions"] or all_precisions()))))
    kept = tuple((pipeline, precision) for pipeline, precision in hand if pipeline in passes and precision in precisions)
    return Space(variant, options.batch, options.backend, passes, precisions, kept)


def _listed(text: str | None) -> tuple[str, ...]:
    from bench.passes import pipelines

    parts = tuple(part.strip() for part in (text or "").split(",") if part.strip())
    return tuple(each for part in parts for each in pipelines(part))


def _session(options: argparse.Namespace, preset: Preset, space: Space, artefacts: Artefacts) -> Session:
    """The folder of this model, machine and code, whatever the goal: what is known of it serves every goal."""
    case = Case(space.variant, (), "fp32", space.batch, space.backend)
    export = artefacts.transformed(case, Phases()).graph.sha256
    tried = [sources(Path(variants.__file__).parent / room) for room in ("", "passes", "precisions")]
    own = [sources(Path(tune.__file__).parent), environment(preset.threads).key, str(preset.cap_s), str(preset.threads)]
    digest = hashlib.sha256("\0".join([case.id, export, *tried, *own]).encode()).hexdigest()[:8]
    safe = "".join(character if character.isalnum() or character in "._-" else "_" for character in space.variant)
    folder = options.output or options.results / f"tune-{safe}-b{space.batch}-{space.backend}-{digest}"
    session = open_session(folder.parent, options.cache, preset, "tune", folder.name)
    if Notebook(folder / NOTES).remember("search", "of", lambda: digest, str) != digest:
        session.lock.close()
        raise UserError(f"{folder}: holds a search of another model, machine or code; remove it or choose another --output")
    return session


def _words(options: argparse.Namespace) -> tuple[str, ...]:
    """What pytest must be told beside the axes."""
    given: list[str] = []
    for option in HELP:
        value = getattr(options, option)
        for each in value if isinstance(value, list) else [value] if value else []:
            given += [f"--{option}", each]
    given += [word for each in options.checkpoint for word in ("--checkpoint", each)]
    given += ["--threads", str(options.threads)] if options.threads else []
    given += ["--cache", str(options.cache)] if options.cache != CACHE else []
    return tuple(given)


CACHE = Path(".trtbench/cache")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="trtbench tune", description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)
    add: Callable[..., object] = parser.add_argument
    add("variant", nargs="?", metavar="VARIANT", help="the model, such as vit_digits or bert:base")
    add("--max-loss", required=True, metavar="GOAL", help='the accuracy asked for, such as "top1 0.5%%" or "snr 30dB"')
    add("--backend", default="onnxruntime", help="what executes it (default: onnxruntime)")
    add("--batch", type=int, default=1, metavar="N", help="inputs a run (default: 1)")
    add("--budget", default="10m", metavar="TIME", help="when to stop with the best so far: 90s, 10m, 1h (default: 10m)")
    add("--passes", metavar="LIST", help="the only pipelines to try, as pytest takes them (default: the presets', all, all but one)")
    add("--precisions", metavar="LIST", help="the only precisions to try, beside fp32 (default: all that run)")
    add("--preset", default="quick", help="whose limits hold: how long a case is timed, threads (default: quick)")
    add("--threads", type=int, metavar="N", help="CPU threads of one inference (default: the preset's, 1)")
    add("--checkpoint", action="append", default=[], metavar="NAME=PATH", help="weights for the variant")
    add_options(add)
    add("--results", type=Path, default=Path("results"), metavar="DIR", help="where runs are recorded (default: results)")
    add("--output", type=Path, metavar="DIR", help="the run's own folder (default: one in --results by model, machine and code)")
    add("--cache", type=Path, default=CACHE, metavar="DIR", help="where artefacts are kept (default: .trtbench/cache)")
    return parser
