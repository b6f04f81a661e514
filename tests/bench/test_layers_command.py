"""`trtbench layers` as a new user types it, who has files from someone else's machine."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench import cli
from tests.bench.conftest import ROOT

HOSTILE = "</script><img src=x onerror=alert(1)>\x1b[31m"
TIMES = {"/blk.0/attn/MatMul": 6.0, "/blk.0/attn/Softmax": 3.0, "/blk.0/mlp/Conv + /blk.0/mlp/Relu": 2.0, HOSTILE: 1.0}


def profile(times: dict[str, float], scale: float = 1e-3) -> bytes:
    """--exportProfile of ten runs; times in microseconds."""
    total = sum(times.values())
    rows = [
        {"name": name, "timeMs": us * scale * 10, "averageMs": us * scale, "medianMs": us * scale, "percentage": us / total * 100}
        for name, us in times.items()
    ]
    return json.dumps([{"count": 10}, *rows]).encode()


def info(names: dict[str, float]) -> bytes:
    """--exportLayerInfo in FP16."""
    tensor = {"Name": "t", "Location": "Device", "Dimensions": [1, 8], "Format/Datatype": "Row major linear FP16 format"}
    layers = [{"Name": name, "LayerType": "kgen", "Inputs": [tensor], "Outputs": [tensor]} for name in names]
    return json.dumps({"Layers": layers, "Bindings": []}).encode()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "run 3 (bob).txt").write_bytes(profile(TIMES))
    (tmp_path / "Info-Kopie.JSON.gz").write_bytes(gzip.compress(info(TIMES)))
    (tmp_path / "new.profile.json").write_bytes(profile({**TIMES, "/blk.0/attn/MatMul": 4.5}))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Status, stdout, stderr."""
    with pytest.raises(SystemExit) as stop:
        cli.main(["layers", *words])
    said = capsys.readouterr()
    assert isinstance(stop.value.code, int)
    return stop.value.code, said.out, said.err


FILES = ("run 3 (bob).txt", "Info-Kopie.JSON.gz")


@pytest.mark.usefixtures("folder")
def test_the_longest_layer_comes_first_with_what_the_layer_info_adds(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, *FILES)
    lines = out.splitlines()
    first = next(line for line in lines if line.lstrip().startswith("1 "))
    assert status == 0
    assert re.match(r" +1 +6\.000 +6\.000 +50\.0% +50\.0% +█+ +\S.* kgen +FP16 +/blk\.0/attn/MatMul$", first)
    assert "10 runs" in lines[0]
    assert "sum of layers 12.00 µs a run" in lines[0]


@pytest.mark.usefixtures("folder")
def test_a_name_cannot_colour_the_terminal_and_a_pipe_gets_no_colour(capsys: pytest.CaptureFixture[str]) -> None:
    assert "\x1b" not in run(capsys, *FILES)[1]


@pytest.mark.usefixtures("folder")
def test_long_names_are_cut_in_the_middle_at_the_width_of_the_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    out = run(capsys, *FILES)[1]
    table = out.splitlines()[3:]
    assert max(map(len, table)) <= 80
    assert any(re.search(r"/blk\S*.*…\S*Relu$", line) for line in table)


@pytest.mark.usefixtures("folder")
def test_top_and_group_say_what_they_leave_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, *FILES, "--top", "1")[1].splitlines()[-1] == "3 more layers of 50.0% together: --top 4"
    assert "MatMul" not in run(capsys, *FILES, "--group", "Convolution")[1]


@pytest.mark.usefixtures("folder")
def test_without_layer_info_the_file_that_would_tell_more_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--exportLayerInfo" in run(capsys, FILES[0])[1].splitlines()[-1]
    assert "--exportProfile" in run(capsys, FILES[1])[1].splitlines()[-1]


@pytest.mark.usefixtures("folder")
def test_csv_and_json_hold_every_layer_with_its_very_name(capsys: pytest.CaptureFixture[str]) -> None:
    rows = list(csv.DictReader(io.StringIO(run(capsys, *FILES, "--csv")[1])))
    assert [row["name"] for row in rows] == list(TIMES)
    assert [float(row["mean_us"]) for row in rows] == pytest.approx(list(TIMES.values()))
    found = json.loads(run(capsys, *FILES, "--json")[1])
    assert [layer["name"] for layer in found["layers"]] == list(TIMES)
    assert found["runs"] == 10


@pytest.mark.parametrize("by", ["onnx", "module", "part", "type", "group"])
@pytest.mark.usefixtures("folder")
def test_whatever_it_is_summed_by_nothing_is_lost(capsys: pytest.CaptureFixture[str], by: str) -> None:
    rows = json.loads(run(capsys, *FILES, "--by", by, "--json")[1])["rows"]
    assert sum(row.get("time_us", row.get("mean_us")) for row in rows) == pytest.approx(12)
    assert run(capsys, *FILES, "--by", by)[0] == 0


@pytest.mark.usefixtures("folder")
def test_a_diff_goes_from_one_total_to_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    out = run(capsys, "diff", "run 3 (bob).txt,Info-Kopie.JSON.gz", "new.profile.json")[1]
    assert out.startswith("sum of layers 12.00 -> 10.50 µs a run: -1.500 µs (-12.5%)\n4 kept\n")
    found = json.loads(run(capsys, "diff", FILES[0], "new.profile.json", "--json")[1])
    assert found["before"]["sum_us"] + sum(step["change_us"] for step in found["waterfall"]) == found["after"]["sum_us"]


@pytest.mark.usefixtures("folder")
def test_findings_are_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "findings", *FILES)[0] == 0
    assert isinstance(json.loads(run(capsys, "findings", *FILES, "--json")[1]), list)


def test_html_goes_where_it_is_told_and_never_over_a_profile(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (folder / FILES[0]).read_bytes()
    assert run(capsys, "--html", *FILES)[1] == "layers.html\n"
    assert run(capsys, "diff", FILES[0], "new.profile.json", "--html", "sub/d.html")[1] == "sub/d.html\n"
    assert (folder / FILES[0]).read_bytes() == before
    for page in (folder / "layers.html", folder / "sub" / "d.html"):
        assert "<img" not in max(re.split(r"<script>.*?</script>", page.read_text(encoding="utf-8"), flags=re.DOTALL), key=len)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), "no FILE is given; see trtbench layers --help"),
        (("nowhere.json",), "nowhere.json: cannot be read"),
        ((FILES[0], "--group", "attn"), "--group: 'attn' is none of: attention, LayerNorm"),
        ((FILES[0], "--top", "0"), "--top: 0 is less than 1"),
        ((FILES[0], "--top", "many"), "argument --top: invalid int value: 'many'"),
        ((FILES[0], "--onnx", "no.onnx"), "no.onnx: cannot be read"),
        ((FILES[0], "--size", "batch=8"), "--size: says a dimension of the graph"),
        ((FILES[0], "--onnx", "no.onnx", "--size", "batch"), "--size: 'batch' is no name and size"),
        ((FILES[0], "--html", "x.html", "--top", "3"), "--top: the page of --html holds everything"),
        (("diff", FILES[0]), "layers diff compares two profiles, not 1"),
        ((FILES[0], "--by", "name"), "argument --by: invalid choice: 'name'"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_a_mistake_is_one_sentence_and_status_2(capsys: pytest.CaptureFixture[str], words: tuple[str, ...], expected: str) -> None:
    status, out, err = run(capsys, *words)
    assert (status, out) == (2, "")
    assert err.startswith(f"trtbench: {expected}")
    assert err.count("\n") == 1


def test_standard_input_and_a_reader_that_stops_early(folder: Path) -> None:
    words = f"{sys.executable} -m bench.cli layers - --csv < '{folder / FILES[0]}' | head -1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("rank,name,type,")


def test_nothing_heavy_is_imported_for_a_table(folder: Path) -> None:
    heavy = "import sys; heavy = {'torch', 'onnx', 'pandas', 'plotly', 'onnxruntime', 'jinja2'} & set(sys.modules)"
    code = f"from bench.layers import main; main([{str(folder / FILES[0])!r}]); {heavy}; sys.exit(str(heavy) if heavy else 0)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
