"""Files of one engine become one Profile: known by content, put together by name, joined by name, or refused in a sentence."""

from __future__ import annotations

import gzip
import io
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import UserError
from reports.layers.profile import Profile
from reports.layers.read import read, read_many
from reports.layers.sources import _numbers
from tests.reports.layers.files import ROWS, TABLE_LAST, TIMES, info, layer, log, profile, times

TRACE = json.dumps(
    [
        {"cat": "Session", "ts": 0, "dur": 50, "name": "model_run"},
        {"cat": "Node", "ts": 1, "dur": 30, "name": "a_kernel_time", "args": {"op_name": "Add"}},
    ]
)
DUMP = '{"conv": [[0.5, "20241030-15:06:45"], [0.7, "20241030-15:06:46"]], "fc": [[0.25, "a"], [0.25, "b"]]}'
KINDS = {
    "exportProfile": profile(),
    "layer information": info(*(layer(name) for name, _ in ROWS)),
    "exportTimes": times("8.4"),
    "trtexec log": log("101601", TABLE_LAST),
    "IProfiler dump": DUMP,
    "IProfiler log": "Bind[0]\nTiming:   20.384us -> conv: a\nTiming:    5.120us -> fc\n",
    "ONNX Runtime profile": TRACE,
    "TREx metadata": '{"performance_summary": {"GPU Compute Time": [1, 2, 1.5, 1.25], "Enqueue Time": [0, 1, 0.5, 0.5]}}',
}


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name.replace('__', '.')}.json").write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["x", "profile.json", "graph.log"])
def test_the_kind_is_told_from_the_content_whatever_the_name(kind: str, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("\ufeff \n" + KINDS[kind], encoding="utf-8")
    assert read([tmp_path / name]).sources == ((str(tmp_path / name), kind),)


@pytest.mark.parametrize("kind", KINDS)
def test_a_compressed_file_says_the_same(kind: str, tmp_path: Path) -> None:
    plain, packed = tmp_path / "a", tmp_path / "b"
    plain.write_text(KINDS[kind])
    packed.write_bytes(gzip.compress(KINDS[kind].encode()))
    assert read([packed]).layers == read([plain]).layers


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(profile().encode())))
    found = read(["-"])
    assert (found.title, [layer.name for layer in found.layers]) == ("standard input", ["conv", "fc", "relu"])


def test_layers_are_ranked_and_their_shares_add_up(tmp_path: Path) -> None:
    found = read([write(tmp_path, x__profile=profile()) / "x.profile.json"])
    assert [(layer.rank, layer.name, layer.share, layer.position) for layer in found.layers] == [
        (1, "conv", 0.5, 0),
        (2, "fc", 0.375, 2),
        (3, "relu", 0.125, 1),
    ]
    assert (found.sum_us, found.runs, found.title) == (1000, 10, "x")
    assert found.layers[-1].cumulative == pytest.approx(1)


def whole(folder: Path) -> Path:
    described = info(*(layer(name, "kgen") for name, _ in ROWS))
    return write(folder, x__profile=profile(), x__graph=described, x__timing=times("8.4"), y__graph=info("other"))


def test_a_file_brings_what_stands_beside_it_of_the_same_engine(tmp_path: Path) -> None:
    found = read([whole(tmp_path) / "x.profile.json"])
    assert [kind for _, kind in found.sources] == ["exportProfile", "layer information", "exportTimes"]
    assert (found.unmatched, found.latency_us, len(found.latencies_us)) == (0, 1500, 3)
    assert {layer.type for layer in found.layers} == {"kgen"}


@pytest.mark.parametrize("names", [("profile", "layer_info"), ("exportProfile", "exportLayerInfo"), ("e_profile", "e_layer_information")])
def test_engines_are_told_from_the_names_that_tools_give(names: tuple[str, str], tmp_path: Path) -> None:
    timed, described = names
    write(tmp_path, **{timed: profile(), described: info(*(layer(name) for name, _ in ROWS))})
    assert len(read([tmp_path / f"{timed}.json"]).sources) == 2
    assert len(read([tmp_path / f"{described}.json"]).sources) == 2


def test_what_stands_beside_it_and_is_damaged_is_named_and_left_out(tmp_path: Path) -> None:
    write(tmp_path, x__profile=profile(), x__graph='{"Layers": [')
    found = read([tmp_path / "x.profile.json"])
    assert len(found.layers) == 3
    assert found.notes[0].startswith(f"left out, though it stands beside it: {tmp_path / 'x.graph.json'}: is cut off")


def test_what_stands_beside_it_of_another_engine_is_named_and_left_out(tmp_path: Path) -> None:
    write(tmp_path, x__profile=profile(), x__graph=info("quite", "other"))
    found = read([tmp_path / "x.profile.json"])
    assert found.unmatched is None
    assert found.notes[0].startswith(f"left out, though it stands beside it: {tmp_path / 'x.graph.json'}: names no layer")


def test_files_of_several_engines_are_put_together_by_name(tmp_path: Path) -> None:
    described = info(*(layer(name) for name, _ in ROWS))
    write(tmp_path, a__profile=profile(), b__profile=profile(ROWS[:2]), a__graph=described)
    found = read_many([tmp_path / f"{name}.json" for name in ("a.profile", "b.profile", "a.graph")])
    assert [(one.title, len(one.layers), len(one.sources)) for one in found] == [("a", 3, 2), ("b", 2, 1)]


def given(folder: Path, rows: str, described: str) -> Profile:
    write(folder, one=rows, two=described)
    return read([folder / "one.json", folder / "two.json"])


def test_layers_are_joined_by_name_whatever_their_order(tmp_path: Path) -> None:
    described = [layer(name, f"type of {name}") for name, _ in ROWS]
    random.Random(1).shuffle(described)
    found = given(tmp_path, profile(), info(*described))
    assert {layer.name: layer.type for layer in found.layers} == {name: f"type of {name}" for name, _ in ROWS}


def test_equal_names_are_joined_by_occurrence(tmp_path: Path) -> None:
    rows = [("twin", 0.1), ("other", 0.2), ("twin", 0.3)]
    found = given(tmp_path, profile(rows), info(layer("other", "o"), layer("twin", "first"), layer("twin", "second")))
    assert [(layer.name, layer.type) for layer in found.layers] == [("twin", "second"), ("other", "o"), ("twin", "first")]


def test_a_profile_number_is_no_obstacle_and_no_layer_is_dropped(tmp_path: Path) -> None:
    described = [layer("conv [profile 12]", "twelve"), layer("a [profile 12]/relu", "r"), layer("fc", "f"), layer("never run", "n")]
    found = given(tmp_path, profile([("conv", 0.5), ("a/relu", 0.25), ("fc", 0.25)]), info(*described))
    assert [(layer.name, layer.type) for layer in found.layers] == [("conv", "twelve"), ("a/relu", "r"), ("fc", "f"), ("never run", "n")]
    assert (found.unmatched, found.layers[-1].mean_us, found.layers[-1].share) == (0, None, 0)
    assert found.notes == ("1 layer of the layer information took part in no profiled run: it has no time",)


def test_the_share_of_time_that_is_not_described_is_said(tmp_path: Path) -> None:
    found = given(tmp_path, profile(), info(layer("conv"), layer("relu")))
    assert found.unmatched == pytest.approx(0.375)
    assert any(note.startswith("only 62.5 % of the time is in layers that the layer information names") for note in found.notes)


def test_two_engines_are_refused_as_two_engines(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"two\.json: names no layer of .*one\.json, 0 % of its time: give the layer info"):
        given(tmp_path, profile(), info("quite", "other"))


def test_two_profiles_are_refused_with_the_command_that_compares_them(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"one\.json and .*two\.json both hold times of layers: give one, or .* trtbench layers diff"):
        given(tmp_path, profile(), profile())


def test_times_alone_are_a_profile_without_layers_that_says_so(tmp_path: Path) -> None:
    found = read([write(tmp_path, t=times("7.0")) / "t.json"])
    assert (found.layers, found.latency_us, found.sum_us) == ((), 1500, None)


def test_names_alone_are_ranked_in_the_order_of_the_engine(tmp_path: Path) -> None:
    found = read([write(tmp_path, n=info("c", "a", "b")) / "n.json"])
    assert [(layer.rank, layer.name, layer.share) for layer in found.layers] == [(1, "c", 0), (2, "a", 0), (3, "b", 0)]


STRANGERS = {
    "": "is empty",
    " \n\t": "is empty",
    "\0\1\2": "is binary",
    "[1, 2": "holds no layer profile",
    "hello": "holds no layer profile",
    '{"a": 1.5, "b": 2}': "gives every name one bare number",
    '{"lst": [], "polygraphy_class": "RunResults"}': "holds Polygraphy's outputs",
    '{"replay": {}}': "is a Polygraphy tactic replay",
    '{"model_options": {}}': "is TREx's description of a build",
    '[{"Name": "H200", "ComputeCapability": [9, 0]}]': "is TREx's description of a build or a device",
    '{"config": {"model": "x"}}': "is JSON of a kind that is not known here (it begins with config, model)",
    '"{\\"config\\": {}}"': "is JSON of a kind that is not known here (it begins with config)",
    '"\\"\\\\\\"\\\\\\"\\""': "is JSON inside JSON inside JSON",
    "<!doctype html><html>": "is a web page",
    "[TensorRT-Cookbook] Version\n[TRT] [W] nothing\n": "is a log of TensorRT in which no layer",
    '{"Layers": [' + '{"a":' * 50_000: "layer information",
    "[" * 200_000: "holds no layer profile",
    '[{"count": 1}, ' + "[" * 200_000: "trtexec's --exportProfile",
}


@pytest.mark.parametrize("text", STRANGERS)
def test_what_is_no_profile_is_named_in_one_sentence_with_a_remedy(text: str, tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text(text)
    with pytest.raises(UserError) as refused:
        read([path])
    sentence = str(refused.value)
    assert sentence.startswith(f"{path}: ")
    assert STRANGERS[text] in sentence
    assert "\n" not in sentence
    assert len(sentence) < 400


def test_a_file_that_is_not_there_and_a_damaged_archive_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.json: cannot be read \(No such file or directory\): check the name"):
        read([tmp_path / "none.json"])
    with pytest.raises(UserError, match=r": cannot be read \(Is a directory\): check the name"):
        read([tmp_path])
    (tmp_path / "x.gz").write_bytes(gzip.compress(b"[1]" * 1000)[:-9])
    with pytest.raises(UserError, match=r"x\.gz: is a damaged \.gz file .*: copy it again"):
        read([tmp_path / "x.gz"])
    with pytest.raises(UserError, match="no file to read: give a profile"):
        read([])


LONG = 50_000_000


@pytest.mark.parametrize("head", ["", '{"Layers": [', '[{"count":1},{"name":"', '"'])
def test_fifty_megabytes_of_one_line_are_refused_without_a_traceback(head: str, tmp_path: Path) -> None:
    path = tmp_path / "long.json"
    path.write_bytes(head.encode() + b"a" * LONG)
    with pytest.raises(UserError, match=r"long\.json: "):
        read([path])


@pytest.mark.parametrize("kind", ["exportProfile", "layer information", "names alone", "trtexec log", "IProfiler dump", "IProfiler log"])
def test_a_file_of_more_layers_than_an_engine_can_have_is_refused(kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = KINDS.get(kind, '{"Layers": ["a", "b", "c \\"d\\""], "Bindings": []}')
    file = write(tmp_path, x=text) / "x.json"
    held = len(read([file]).layers)
    monkeypatch.setattr(_numbers, "MOST_LAYERS", held - 1)
    with pytest.raises(UserError, match=f"more than {held - 1} layers, which no engine has: give"):
        read([file])
    monkeypatch.setattr(_numbers, "MOST_LAYERS", held + 3)
    assert len(read([file]).layers) == held


def test_reading_imports_nothing_heavy() -> None:
    code = "import sys, reports.layers.read as r; r.read(['-'], False); print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], input=profile(), capture_output=True, text=True, check=True)
    assert not {"numpy", "pandas", "plotly", "jinja2", "onnx", "torch"} & set(done.stdout.split())


@pytest.mark.parametrize("generation", TIMES)
def test_times_of_a_generation_stand_beside_a_profile(generation: str, tmp_path: Path) -> None:
    write(tmp_path, x__profile=profile(), x__times=times(generation))
    assert read([tmp_path / "x.profile.json"]).latency_us == 1500
