"""`trtbench layers`: one profile as a ranked table, the diff of two, and what stands out."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from common.errors import UserError

if TYPE_CHECKING:
    from reports.layers.attribution import Attribution
    from reports.layers.division import Costs
    from reports.layers.layer import Layer
    from reports.layers.profile import Profile
    from reports.layers.view.terminal import Screen

TOP = 20
PIPED = 160
"""Columns of a line that goes into a pipe or a file, unless COLUMNS says otherwise."""
INSIDE = ("onnx", "module", "part")
BY = (*INSIDE, "type", "group")
EXAMPLES = """examples:
  trtbench layers profile.json layer_info.json        the 20 longest layers
  trtbench layers vit.profile.json                    ... with vit.graph.json and vit.timing.json beside it
  trtbench layers trtexec.log --group attention --top 50
  trtbench layers profile.json layer_info.json --onnx vit.onnx --by module
  zcat profile.json.gz | trtbench layers - --csv > layers.csv
  trtbench layers profile.json layer_info.json --html  a page: layers.html
  trtbench layers diff fp16.profile.json int8.profile.json
  trtbench layers diff old.json,old_info.json new.json,new_info.json --html
  trtbench layers findings profile.json layer_info.json

Reads trtexec's --exportProfile, --exportLayerInfo, --exportTimes and console logs, dumps of IProfiler and EngineInspector, and
ONNX Runtime's profiles, plain or .gz; what a file is follows from its content. "-" is standard input. A file that is called
diff or findings is ./diff or ./findings. COLUMNS sets the width of a line.
"""


class Parser(argparse.ArgumentParser):
    """One sentence for a mistake, without the usage before it."""

    def error(self, message: str) -> NoReturn:
        """Raises UserError."""
        raise UserError(f"{message}; see {self.prog} --help")


def main(words: Sequence[str]) -> int:
    """Run the command on the words behind `trtbench layers`; raises UserError."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")  # A terminal without UTF-8 shows ? for a µ rather than nothing at all.
    if words[:1] == ["diff"]:
        return _diff(_options(_diff_parser(), words[1:]))
    if words[:1] == ["findings"]:
        return _findings(_options(_findings_parser(), words[1:]))
    return _layers(_options(_layers_parser(), words))


def _options(parser: Parser, words: Sequence[str]) -> argparse.Namespace:
    """As parsed; `--html FILE` in front of a file that is no page means that file and the default page."""
    options = parser.parse_intermixed_args(words)
    html = getattr(options, "html", None)
    if html and not html.lower().endswith((".html", ".htm")):
        options.files, options.html = [html, *options.files], parser.get_default("page")
    if not options.files:
        parser.error("no FILE is given")
    if getattr(options, "top", None) is not None and options.top < 1:
        parser.error(f"--top: {options.top} is less than 1")
    whole = (
        [f"--{name}" for name in ("group", "by", "top", "json", "csv") if getattr(options, name, None)]
        if getattr(options, "html", None)
        else []
    )
    if whole:
        parser.error(f"{' '.join(whole)}: the page of --html holds everything, leave it out")
    if options.json and getattr(options, "csv", False):
        parser.error("--json and --csv: choose one")
    if getattr(options, "size", None) and not options.onnx:
        parser.error("--size: says a dimension of the graph, which --onnx MODEL.onnx gives")
    return options


def _parser(prog: str, description: str) -> Parser:
    return Parser(prog=prog, description=description, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)


def _layers_parser() -> Parser:
    parser = _parser(
        "trtbench layers", "Says where the time of one engine goes, layer by layer. Also: layers diff A B, layers findings FILE..."
    )
    parser.add_argument("files", nargs="*", metavar="FILE", help="files of one engine; those beside one file alone are found by name")
    parser.add_argument("--group", metavar="NAME", help="only the layers of this group (attention, matrix product, reformat / copy ...)")
    parser.add_argument("--by", choices=BY, help="sum by ONNX node, source module, part of the model, layer type or group")
    _common(parser, "layers.html")
    parser.add_argument("--csv", action="store_true", help="print all fields as comma-separated values")
    _graph(parser)
    return parser


def _diff_parser() -> Parser:
    parser = _parser("trtbench layers diff", "Says what changed from one profile to another: groups, waterfall, layers.")
    parser.add_argument("files", nargs="*", metavar="A B", help="before and after; several files of one engine are joined by commas")
    _common(parser, "diff.html")
    return parser


def _findings_parser() -> Parser:
    parser = _parser("trtbench layers findings", "Says what stands out in a profile, how that is known, and what to do.")
    parser.add_argument("files", nargs="*", metavar="FILE", help="files of one engine")
    parser.add_argument("--json", action="store_true", help="print JSON")
    _graph(parser)
    return parser


def _common(parser: Parser, page: str) -> None:
    parser.add_argument("--top", type=int, metavar="N", help=f"rows to print (default: {TOP}; all with --json and --csv)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--html", nargs="?", const=page, metavar="PATH", help=f"write a page instead (default: {page})")
    parser.set_defaults(page=page)


def _graph(parser: Parser) -> None:
    parser.add_argument(
        "--onnx", type=Path, metavar="MODEL.onnx", help="the graph of the engine: better times of nodes inside fused layers"
    )
    parser.add_argument("--size", action="append", default=[], metavar="NAME=N", help="a dynamic dimension of that graph, as in batch=8")


def _layers(options: argparse.Namespace) -> int:
    from reports.layers.read import read

    profile = read(options.files)
    if options.html:
        return _page(profile, options)
    layers = _of_group(profile.layers, options.group)
    if options.json or options.csv:
        sys.stdout.write(_exported(profile, layers, options))
        return 0
    from reports.layers.view import terminal

    screen, most = _screen(), options.top or TOP
    lines = terminal.head(profile, screen)
    inside = options.by in INSIDE
    found = _attributed(profile, options) if inside or options.onnx else None
    if found is not None:
        lines += terminal.about(found, screen)
    if found is not None and inside:
        lines += terminal.inside(found, options.by, most, screen)
    elif options.by:
        lines += terminal.shares(layers, options.by, most, screen)
    else:
        lines += [*terminal.ranked(layers[:most], screen), *terminal.rest(layers, most), *terminal.hints(profile)]
    print("\n".join(lines))
    return 0


def _exported(profile: Profile, layers: Sequence[Layer], options: argparse.Namespace) -> str:
    from reports.layers.view import export
    from reports.layers.view.terminal import rows_by

    if not options.by:
        return export.layers(profile, layers[: options.top], options.csv)
    found = _attributed(profile, options) if options.by in INSIDE else None
    return export.rows(profile, rows_by(options.by, layers, found)[: options.top], options.csv)


def _page(profile: Profile, options: argparse.Namespace) -> int:
    from reports.html import write_page
    from reports.layers.view.page import profile_page

    costs = _costs(profile, options)
    write_page(profile_page(profile, costs), Path(options.html))
    print(options.html)
    return 0


def _diff(options: argparse.Namespace) -> int:
    import msgspec

    from reports.layers.diff import diff
    from reports.layers.read import read

    if len(options.files) != 2:
        raise UserError(
            f"layers diff compares two profiles, not {len(options.files)}: join the files of one engine by commas, as in a.json,b.json"
        )
    before, after = (read([name] if name == "-" or Path(name).exists() else name.split(",")) for name in options.files)
    if before.title == after.title:
        before, after = (msgspec.structs.replace(side, title=side.sources[0][0]) for side in (before, after))
    found = diff(before, after)
    if options.html:
        from reports.html import write_page
        from reports.layers.view.page import diff_page

        write_page(diff_page(found), Path(options.html))
        print(options.html)
    elif options.json:
        from reports.layers.view.export import changes

        sys.stdout.write(changes(found, options.top))
    else:
        from reports.layers.view import terminal

        print("\n".join(terminal.compared(found, _screen(), options.top or TOP)))
    return 0


def _findings(options: argparse.Namespace) -> int:
    from reports.layers.finding import Context, findings
    from reports.layers.read import read
    from reports.layers.view import terminal
    from reports.layers.view.export import pretty

    profile = read(options.files)
    found = findings(profile, Context(_costs(profile, options)))
    if options.json:
        sys.stdout.write(pretty(found))
        return 0
    print("\n".join([*terminal.head(profile, _screen()), "", *terminal.findings(found, _screen())]))
    return 0


def _of_group(layers: Sequence[Layer], group: str | None) -> Sequence[Layer]:
    from reports.layers.layer import GROUPS

    if group is None:
        return layers
    name = next((name for name in GROUPS if name.lower() == group.lower()), None)
    if name is None:
        raise UserError(f"--group: {group!r} is none of: {', '.join(GROUPS)}")
    return [layer for layer in layers if layer.group == name]


def _attributed(profile: Profile, options: argparse.Namespace) -> Attribution:
    import msgspec

    from reports.layers.attribution import attribute

    found = attribute(profile, _costs(profile, options))
    if options.group is None:
        return found
    names = {layer.rank for layer in _of_group(profile.layers, options.group)}
    return msgspec.structs.replace(found, nodes=tuple(row for row in found.nodes if any(piece.rank in names for piece in row.pieces)))


def _costs(profile: Profile, options: argparse.Namespace) -> Costs | None:
    if options.onnx is None:
        return None
    from reports.layers.division import costs_for

    return costs_for(profile, options.onnx, dict(_size(text) for text in options.size))


def _size(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    if not name or not number.isdecimal() or not int(number):
        raise UserError(f"--size: {text!r} is no name and size: write it as batch=8")
    return name, int(number)


def _screen() -> Screen:
    from reports.layers.view.terminal import Screen

    terminal = sys.stdout.isatty()
    colour = terminal and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    return Screen(shutil.get_terminal_size((120 if terminal else PIPED, 24)).columns, colour)
