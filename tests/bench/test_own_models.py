"""--onnx, --inputs, --reference and --dim: from the words to the record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest

from bench.artefacts import Artefacts
from bench.cache import Cache
from bench.cli import main
from bench.environment import environment
from bench.matrix import choose, plan, presets
from bench.own_models import with_own
from bench.phases import Phases
from bench.pipeline import Pipeline
from common.errors import UserError
from reports.case import Case
from reports.record import Failed, Inaccurate, Measured, Record, Unsupported
from tests.bench.conftest import run_bench
from tests.variants.own.models import CLASSIFIER, TOKENS, saved
from variants.find import find
from variants.own import opened

Run = Callable[..., Record]
WEIGHTS = ", ".join(str((7 * value) % 11 / 5 - 1) for value in range(24))
NETWORK = f"""m (float[batch, 6] x) => (float[batch, 4] features)
    <float[6, 4] w = {{{WEIGHTS}}}, float[4, 6] v = {{{WEIGHTS}}}> {{
    p = MatMul (x, w)
    h = Relu (p)
    q = MatMul (h, v)
    features = MatMul (q, w)
}}"""
WHOLE = (
    NETWORK.replace("batch, ", "")
    .replace("float[6]", "float[3, 6]")
    .replace("float[4] features", "float[3, 4] features")
    .replace("(float[3, 6] x)", "(float[3, 6] x, float scale)")
)


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    opened.close_all()


def names(variants: str | None = None, **options: Any) -> str | None:
    said = {"onnx": [], "dim": [], "inputs": None, "reference": None} | options
    return with_own(variants, lambda name: said[name])


def refusal(variants: str | None = None, **options: Any) -> str:
    with pytest.raises(UserError) as error:
        names(variants, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Open a file and run one case of it."""
    preset = msgspec.structs.replace(presets()["quick"], cap_s=0.05)
    pipeline = Pipeline("test", environment(1), Artefacts(Cache(tmp_path / "cache")), preset)

    def one(text: str, passes: tuple[str, ...] = (), precision: str = "fp32", batch: int = 1, **options: Any) -> Record:
        name = names(onnx=[str(saved(tmp_path, text, name="mine"))], **options)
        assert name == "mine"
        return pipeline.run(Case(name, passes, precision, batch, "onnxruntime"))

    return one


def test_a_file_is_named_by_its_stem_and_by_its_folder_too_where_another_has_it(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        saved(tmp_path / folder, CLASSIFIER, name="net-v2 (final)")
    first, second = (str(tmp_path / folder / "net-v2 (final).onnx") for folder in ("one", "two"))
    assert names(onnx=[first]) == "net_v2_final_"
    assert names(onnx=[first, second]) == "one.net_v2_final_,two.net_v2_final_"
    assert names(f"vit_digits,{first}") == "vit_digits,net_v2_final_"
    assert names(onnx=[str(saved(tmp_path, CLASSIFIER, name="vit_digits"))]) == f"{tmp_path.name}.vit_digits"


def test_a_folder_gives_each_of_its_files_and_a_broken_one_says_why_beside_the_others(tmp_path: Path) -> None:
    saved(tmp_path, CLASSIFIER, name="good")
    (tmp_path / "bad.onnx").write_bytes(b"hello")
    (tmp_path / "notes.txt").write_text("no model")
    choice = choose("quick", {"variants": names(onnx=[str(tmp_path)]), "backends": "onnxruntime", "batches": "1"})
    cells = {cell.case.variant: cell.unavailable for cell in plan(choice)}
    assert cells["good"] == ""
    assert "bad.onnx: is not an ONNX file" in cells["bad"]


def test_a_folder_without_a_usable_file_is_refused(tmp_path: Path) -> None:
    assert "holds no .onnx file" in refusal(onnx=[str(tmp_path)])
    (tmp_path / "bad.onnx").write_bytes(b"hello")
    assert "is not an ONNX file" in refusal(onnx=[str(tmp_path)])


def test_options_that_speak_of_nothing_are_refused(tmp_path: Path) -> None:
    assert "add --onnx model.onnx" in refusal(dim=["sequence=3"])
    assert "add --onnx model.onnx" in refusal(inputs="data.npz")
    path = str(saved(tmp_path, CLASSIFIER))
    assert "no input has a free dimension 'sequence'; there are: H, W, batch" in refusal(onnx=[path], dim=["sequence=3"])
    for wrong in ("H", "H=", "H=x", "H=0", "=3", "H=99999999", "H=-3", "H=3,"):
        assert "is not NAME=SIZE" in refusal(onnx=[path], dim=[wrong])


def test_a_model_of_one_batch_leaves_the_others_out_and_says_why(tmp_path: Path) -> None:
    path = saved(tmp_path, "m (float[4, 3] x) => (float[4, 3] y) { y = Add (x, x) }")
    choice = choose("quick", {"variants": names(onnx=[str(path)]), "backends": "onnxruntime", "batches": "1,4"})
    assert {cell.unavailable for cell in plan(choice) if cell.case.batch == 1} == {"this model takes batch 4 only"}
    assert {cell.unavailable for cell in plan(choice) if cell.case.batch == 4} == {""}


def test_a_checkpoint_for_an_onnx_file_is_refused(tmp_path: Path) -> None:
    name = names(onnx=[str(saved(tmp_path, CLASSIFIER))])
    with pytest.raises(UserError, match="is an ONNX file, which holds its weights"):
        choose("quick", {"variants": name}, checkpoints=[f"{name}=weights.pt"])


@pytest.mark.parametrize("text", [NETWORK, WHOLE], ids=["batched", "whole"])
def test_a_file_is_calibrated_quantised_and_measured_beside_itself_in_both_ways_of_running_it(run: Run, text: str) -> None:
    record = run(text, (), "int8_minmax")
    assert isinstance(record.outcome, Measured), record.outcome
    assert record.outcome.baseline == "mine-none-fp32-b1-onnxruntime"
    assert record.accuracy is not None
    assert record.accuracy.agreement >= 0.98


def test_wrong_reference_outputs_show_as_inaccurate(run: Run, tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((9, 6)).astype(np.float32)
    np.savez(tmp_path / "in.npz", x=values)
    np.savez(tmp_path / "out.npz", features=np.full((9, 4), 0.25, np.float32))
    record = run(NETWORK, inputs=str(tmp_path / "in.npz"), reference=str(tmp_path / "out.npz"))
    assert isinstance(record.outcome, Inaccurate)


def test_other_inputs_and_other_sizes_are_another_reference(tmp_path: Path) -> None:
    path, artefacts = str(saved(tmp_path, CLASSIFIER)), Artefacts(Cache(tmp_path / "cache"))

    def made(**options: Any) -> float:
        name = names(onnx=[path], **options)
        assert name is not None
        return float(artefacts.reference(Case(name, (), "fp32", 1, "onnxruntime"), Phases())["logits"].sum())

    for seed in (0, 1):
        images = np.random.default_rng(seed).standard_normal((6, 3, 4, 5)).astype(np.float32)
        np.savez(tmp_path / "in.npz", images=images)
        assert made(inputs=str(tmp_path / "in.npz")) == pytest.approx(float(images[2:].mean((2, 3)).sum()), abs=1e-4)
    assert made(dim=["H=8,W=8"]) != made(dim=["H=8,W=9"])


def test_a_model_that_the_made_up_inputs_do_not_fit_fails_with_a_sentence(run: Run) -> None:
    outcome = run("m (float[n, p] x, float[n, q] z) => (float[n, p] y) { y = Add (x, z) }", dim=["p=3,q=4"]).outcome
    assert isinstance(outcome, Failed | Unsupported)
    assert "\n" not in outcome.reason


def test_a_broken_file_ends_pytest_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"hello")
    done = run_bench("--onnx", str(tmp_path / "bad.onnx"), results=tmp_path / "results", cache=tmp_path / "cache")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "bad.onnx: is not an ONNX file" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "results").exists()


def test_the_export_of_a_model_of_this_repository_is_taken_back(tmp_path: Path) -> None:
    from variants.export import export

    export(find("vit_digits").value, tmp_path / "digits.onnx")
    name = names(onnx=[str(tmp_path / "digits.onnx")])
    assert name is not None
    own = find(name).value
    assert (own.only_batch, own.batched, own.metric) == (None, True, "top-1 agreement")
    assert own.inputs("test")["images"].shape[1:] == (1, 32, 32)
    assert own.opset == onnx.load(tmp_path / "digits.onnx").opset_import[0].version


def test_the_plan_says_what_a_file_is_fed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(saved(tmp_path, TOKENS, name="reader"))
    with pytest.raises(SystemExit):
        main(["plan", "--onnx", path, "--dim", "sequence=9", "--backends", "onnxruntime"])
    assert "fed       reader: reader.onnx; made-up inputs, input_ids [batch, 9]: whole numbers 0 to 9" in capsys.readouterr().out
