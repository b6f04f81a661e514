"""`trtbench passes` as a user types it."""

from __future__ import annotations

import re
from pathlib import Path

import onnx
import pytest

from bench.pass_command import main
from common.discover import discover
from common.errors import UserError
from reports.journal import append
from tests.reports.test_pass_table import records as pass_records
from tests.variants.graphs import Norm, layernorm, value, with_nodes
from tests.variants.graphs import node as made
from variants.graph_pass import GraphPass


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """An ONNX file with one decomposed LayerNorm."""
    path = tmp_path / "norm.onnx"
    onnx.save(layernorm(), path)
    return path


def run(file: Path, *words: str) -> int:
    return main(["--onnx", str(file), "--cache", str(file.parent / "cache"), *words])


def test_without_a_model_every_pass_is_listed_with_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    said = capsys.readouterr().out
    for name, declared in discover("variants.passes", GraphPass).items():
        assert re.search(rf"^  {name}\S* +{re.escape(declared.label)}", said, re.MULTILINE), name
    assert said.index("  fold ") < said.index("  fuse_layernorm ") < said.index("by name only:") < said.index("  onnxslim ")


def test_each_step_of_a_pipeline_is_told_and_one_without_effect_says_so(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(file, "--passes", "fuse_layernorm+cast_booleans", "--batch", "3")
    said = capsys.readouterr().out
    assert re.search(r"fuse_layernorm +1 rewrite +9 → 1 nodes", said)
    assert re.search(r"cast_booleans +no effect", said)
    assert "as built: 1 nodes, 4 tensors" in said
    assert "at batch 3" in said


def test_a_second_time_the_same_comes_from_the_cache(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(file, "--passes", "fuse_layernorm")
    capsys.readouterr()
    run(file, "--passes", "fuse_layernorm")
    assert re.search(r"fuse_layernorm +1 rewrite .* cached", capsys.readouterr().out)


def test_explain_says_what_was_left_alone_and_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "read_twice.onnx"
    onnx.save(with_nodes(Norm(), made("Exp", "y_variance", "z"), outputs=(value("y"), value("z", ("batch", 4, 1)))), path)
    run(path, "--passes", "fuse_layernorm", "--explain")
    said = capsys.readouterr().out
    assert re.search(r"fuse_layernorm +no effect", said)
    assert "left alone: " in said
    run(path, "--passes", "fuse_layernorm")
    assert "left alone" not in capsys.readouterr().out


def test_nodes_are_listed_by_the_names_that_a_precision_may_keep(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(file, "--passes", "none", "--nodes", "*variance")
    assert re.findall(r"^  (\S+) +(make_\S+)$", capsys.readouterr().out, re.MULTILINE) == [("ReduceMean", "make_y_variance")]
    with pytest.raises(UserError, match="--nodes: '/zzz' matches no node"):
        run(file, "--passes", "none", "--nodes", "/zzz")


def test_the_graph_can_be_saved(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = file.parent / "out.onnx"
    run(file, "--passes", "fuse_layernorm", "--save", str(saved))
    assert [node.op_type for node in onnx.load(saved).graph.node] == ["LayerNormalization"]
    with pytest.raises(UserError, match=r"nowhere/out.onnx: cannot be written .*--save"):
        run(file, "--save", str(file.parent / "nowhere" / "out.onnx"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["vit_digitz"], "unknown variant 'vit_digitz': did you mean"),
        (["vit_digits", "--passes", "fodl"], "unknown pass 'fodl': did you mean 'fold'"),
        (["vit_digits", "--precision", "fp61"], "unknown precision 'fp61'"),
        (["vit_digits", "--batch", "many"], "argument --batch: invalid int value: 'many'"),
        (["--dim", "sequence=3"], "--dim: speaks of an ONNX file"),
    ],
)
def test_what_is_misspelt_is_refused_in_one_sentence(words: list[str], said: str) -> None:
    with pytest.raises(UserError) as error:
        main(words)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_the_table_of_a_run_is_markdown_and_a_run_without_all_says_what_to_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for record in pass_records():
        append(tmp_path / "records.jsonl", record)
    assert main(["--table", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "### Each pass" in said
    assert re.search(r"^\| merge \| 0|^\| merge \| none \| 3 \|", said, re.MULTILINE)
    append(tmp_path / "other.jsonl", pass_records()[0])
    with pytest.raises(
        UserError, match=r"other.jsonl: no case ran the pipeline 'all'; run: pytest bench/ --benchmark-only --preset passes"
    ):
        main(["--table", str(tmp_path / "other.jsonl")])
