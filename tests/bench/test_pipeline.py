"""Case -> Record on the real model, and everything that can go wrong on the way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from bench.artefacts import Artefacts
from bench.backend import Backend
from bench.cache import Cache
from bench.environment import environment
from bench.matrix import presets
from bench.phases import Phases
from bench.pipeline import Pipeline
from common.discover import discover
from reports.case import Case
from reports.record import Built, Failed, Inaccurate, Measured, Record, Rejected, Unsupported
from tests.bench.conftest import AddFile
from variants.models.vit_digits import vit_digits
from variants.variant import Array

PASS = '"""A pass."""\nimport onnx\nfrom common.errors import Unsupported, UserError\nfrom variants.graph_pass import GraphPass\n'
PRECISION = '"""A precision."""\nimport onnx\nfrom dataclasses import replace\nfrom variants.precisions.fp32 import fp32\n'
MakePipeline = Callable[[], Pipeline]


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture
def make(shared_cache: Path, log: list[str]) -> MakePipeline:
    preset = msgspec.structs.replace(presets()["quick"], cap_s=0.1)
    return lambda: Pipeline("test", environment(1), Artefacts(Cache(shared_cache)), preset, log=log.append)


def case(passes: str = "", precision: str = "fp32", batch: int = 8, backend: str = "onnxruntime") -> Case:
    return Case("vit_digits", tuple(passes.split("+")) if passes else (), precision, batch, backend)


def failed(record: Record) -> Failed:
    assert isinstance(record.outcome, Failed), record.outcome
    assert "\n" not in record.outcome.reason
    return record.outcome


def test_a_case_is_measured_beside_its_baseline_after_its_outputs_agreed(make: MakePipeline) -> None:
    record = make().run(case("fold+fuse_layernorm", "int8_minmax"))
    assert isinstance(record.outcome, Measured)
    assert record.outcome.baseline == "vit_digits-none-fp32-b8-onnxruntime"
    assert len(record.outcome.blocks_us) == len(record.outcome.baseline_blocks_us) >= 10
    assert len(record.outcome.loads) >= 5
    assert record.accuracy is not None
    assert record.accuracy.inputs == 360
    assert (record.accuracy.reference_score or 0) >= 0.97
    assert record.accuracy.worst_snr_db >= 20
    assert [step.name for step in record.steps] == ["fold", "fuse_layernorm", "int8_minmax"]
    assert record.steps[1].rewrites == 13
    names = [phase.name for phase in record.phases]
    expected = ["export", "pass fold", "pass fuse_layernorm", "calibration", "precision int8_minmax", "build", "reference", "check"]
    assert names == [*expected, "warm-up", "measure", "profile"]
    assert sum(layer.share for layer in record.layers) == pytest.approx(1)
    assert {name for name, _ in record.digests} == {"export", "calibration", "graph", "plan"}


def test_a_second_run_repeats_no_export_pass_quantisation_or_build(make: MakePipeline) -> None:
    wanted = case("fold", "int8_minmax")
    make().run(wanted)
    again = make()
    record = again.run(wanted)
    assert again.artefacts.cache.made == {}
    assert {phase.name for phase in record.phases if phase.cached} == {
        *("export", "pass fold", "calibration", "precision int8_minmax", "build", "reference")
    }


def test_the_baseline_case_takes_turns_with_a_second_copy_of_itself(make: MakePipeline) -> None:
    record = make().run(case())
    assert isinstance(record.outcome, Measured)
    assert record.outcome.baseline == record.case.id


def test_fast_but_wrong_has_no_speed(make: MakePipeline, add_file: AddFile) -> None:
    broken = "def zero(model, ranges):\n    for t in model.graph.initializer:\n        if t.name == 'head.weight':\n"
    broken += "            t.raw_data = bytes(len(t.raw_data))\n    return model\nbroken = replace(fp32, apply=zero)\n"
    add_file("variants.precisions", "broken", PRECISION + broken)
    record = make().run(case(precision="broken"))
    assert isinstance(record.outcome, Inaccurate)
    assert "signal-to-noise" in record.outcome.reason
    assert record.accuracy is not None
    assert record.layers == ()


def test_a_wrong_baseline_is_never_timed_against(make: MakePipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = make()
    wanted._verified[case()] = "signal-to-noise 3.0 dB"
    reason = failed(wanted.run(case("fold"))).reason
    assert reason == "the baseline vit_digits-none-fp32-b8-onnxruntime is inaccurate: signal-to-noise 3.0 dB"


def test_a_precision_in_name_only_fails_loudly(make: MakePipeline, add_file: AddFile) -> None:
    add_file("variants.precisions", "fp16_pretended", PRECISION + "fp16_pretended = replace(fp32, dtype=onnx.TensorProto.FLOAT16)\n")
    outcome = failed(make().run(case(precision="fp16_pretended")))
    assert outcome.stage == "precision fp16_pretended"
    assert "carries no FLOAT16 tensor" in outcome.reason


def test_a_pass_that_breaks_fails_its_case_and_leaves_the_traceback_in_the_log(
    make: MakePipeline, add_file: AddFile, log: list[str]
) -> None:
    add_file("variants.passes", "boom", PASS + "def run(model):\n    raise KeyError('gamma')\nboom = GraphPass(run)\n")
    outcome = failed(make().run(case("boom")))
    assert outcome.stage == "pass boom"
    assert outcome.reason.startswith("KeyError: 'gamma'")
    assert "errors.log" in outcome.reason
    assert "Traceback" in log[0]
    assert "vit_digits-boom-fp32-b8-onnxruntime" in log[0]


def test_a_pass_that_makes_an_invalid_graph_is_stopped_before_the_backend(make: MakePipeline, add_file: AddFile) -> None:
    source = "def run(model):\n    del model.graph.node[5]\n    return model, 1\ninvalid = GraphPass(run)\n"
    add_file("variants.passes", "invalid", PASS + source)
    assert failed(make().run(case("invalid"))).stage == "pass invalid"


def test_a_pass_that_declines_by_its_nature_is_unsupported(make: MakePipeline, add_file: AddFile) -> None:
    source = "def run(model):\n    raise Unsupported('picky: only opset 18')\npicky = GraphPass(run)\n"
    add_file("variants.passes", "picky", PASS + source)
    assert make().run(case("picky")).outcome == Unsupported("picky: only opset 18")


def test_a_pass_that_renames_the_output_is_found_before_the_clock(make: MakePipeline, add_file: AddFile) -> None:
    source = "def run(model):\n    node = next(n for n in model.graph.node if n.output[0] == 'logits')\n    node.output[0] = 'scores'\n"
    source += "    model.graph.output[0].name = 'scores'\n    return model, 1\nrename = GraphPass(run)\n"
    add_file("variants.passes", "rename", PASS + source)
    outcome = failed(make().run(case("rename")))
    assert outcome.stage == "pass rename"
    assert "it removed or renamed output 'logits' (there is: scores)" in outcome.reason


CUSTOM = "def run(model):\n    node = next(n for n in model.graph.node if n.op_type == 'Softmax')\n"
CUSTOM += "    node.op_type, node.domain = 'Nobody', 'nobody'\n"
CUSTOM += "    model.opset_import.append(onnx.helper.make_opsetid('nobody', 1))\n    return model, 1\ncustom = GraphPass(run)\n"


@pytest.mark.parametrize("backend", ["onnxruntime", "tensorrt_rtx"])
def test_a_graph_that_a_backend_refuses_is_rejected_with_its_own_words(make: MakePipeline, add_file: AddFile, backend: str) -> None:
    if backend == "tensorrt_rtx":
        pytest.importorskip("tensorrt_rtx")
    add_file("variants.passes", "custom", PASS + CUSTOM)
    outcome = make().run(case("custom", backend=backend)).outcome
    assert isinstance(outcome, Rejected)
    words = {"onnxruntime": "nobody:Nobody", "tensorrt_rtx": "Plugin not found"}
    assert words[backend] in outcome.reason


def test_tensorrt_rtx_accepts_the_model_and_is_not_timed(make: MakePipeline) -> None:
    pytest.importorskip("tensorrt_rtx")
    record = make().run(case("fold+fuse_layernorm", "fp16", backend="tensorrt_rtx"))
    assert isinstance(record.outcome, Built)
    assert record.outcome.target == "compute capability 8.9"
    assert record.build is not None
    assert record.build.bytes > 1_000_000
    assert record.build.seconds > 0


def test_an_absent_backend_is_unsupported_with_the_command_that_mends_it(make: MakePipeline, add_file: AddFile) -> None:
    source = '"""Nowhere."""\nfrom bench.backends.tensorrt_rtx import TensorRTRTX\nclass Nowhere(TensorRTRTX):\n'
    source += "    def unavailable(self):\n        return 'nowhere is not installed: pip install nowhere'\nnowhere = Nowhere()\n"
    add_file("bench.backends", "nowhere", source)
    assert make().run(case(backend="nowhere")).outcome == Unsupported("nowhere is not installed: pip install nowhere")


def test_altered_weights_fail_the_case_with_the_file_and_the_remedy(
    make: MakePipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib
    from dataclasses import replace

    from variants.find import find

    model = importlib.import_module("variants.models.vit_digits")
    copy = tmp_path / "vit_digits.safetensors"
    copy.write_bytes(model.WEIGHTS.read_bytes()[:-100])
    copy.with_suffix(".sha256").write_bytes(model.WEIGHTS.with_suffix(".sha256").read_bytes())
    monkeypatch.setattr(model, "WEIGHTS", copy)
    declared = find("vit_digits")
    altered = replace(declared, value=replace(declared.value, files=(copy,)))
    monkeypatch.setattr("bench.artefacts.find_variant", lambda name: altered)
    outcome = failed(make().run(case()))
    assert outcome.stage == "export"
    assert str(copy) in outcome.reason
    assert "truncated or altered" in outcome.reason
    assert "python -m variants.training.vit_digits" in outcome.reason


def test_an_altered_artefact_is_made_again_and_named(make: MakePipeline, shared_cache: Path) -> None:
    make().run(case(backend="onnxruntime"))
    for file in (shared_cache / "export").glob("*/artefact"):
        file.write_bytes(file.read_bytes()[:1000])
    pipeline = make()
    assert isinstance(pipeline.run(case()).outcome, Measured)
    assert any("truncated or altered; made again" in warning for warning in pipeline.artefacts.cache.warnings)


@pytest.mark.parametrize("backend", ["onnxruntime", "tensorrt_rtx"])
def test_a_kernel_is_not_measured_where_it_cannot_run_and_nothing_is_prepared(make: MakePipeline, backend: str) -> None:
    record = make().run(case("fold+layernorm_plugin:v5_hopper", backend=backend))
    assert isinstance(record.outcome, Unsupported)
    assert "docs/plugins.md" in record.outcome.reason
    assert record.phases == ()


BACKEND = '''"""Takes plugins."""
from bench.backend import BuildInfo
from bench.backends.onnxruntime import OnnxRuntime
class Plugins(OnnxRuntime):
    def why_no_plugins(self): return None
    def why_not_run(self): return "a test"
    def build(self, model, plan, options):
        plan.write_bytes(b"plan")
        return BuildInfo("test", 0.0)
takes_plugins = Plugins()
'''


def test_an_engine_is_built_again_when_its_kernel_changed(make: MakePipeline, add_file: AddFile, monkeypatch: pytest.MonkeyPatch) -> None:
    add_file("bench.backends", "takes_plugins", BACKEND)
    wanted = case("layernorm_plugin:v5_hopper", backend="takes_plugins")
    assert isinstance(make().run(wanted).outcome, Built)
    again = make()
    again.run(wanted)
    assert again.artefacts.cache.made == {}
    monkeypatch.setattr("bench.passes.source_digest", lambda path: "edited")
    edited = make()
    edited.run(wanted)
    assert edited.artefacts.cache.made["build"] == 1


def test_a_model_too_large_for_one_file_keeps_its_weights_beside_it(
    make: MakePipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("variants.heavy.EXTERNAL_ABOVE", 1_000_000)
    backend, options, images = discover("bench.backends", Backend)["onnxruntime"].value, make()._options(case()), vit_digits.inputs("test")

    def logits(artefacts: Artefacts) -> Array:
        plan = artefacts.plan(case(), artefacts.transformed(case(), Phases()).graph, options, Phases())
        found: Array = backend.load(plan.path, options).run(images)["logits"]
        return found

    first = logits(Artefacts(Cache(tmp_path)))
    (data,) = (tmp_path / "precision").glob("*/artefact.data")
    assert data.stat().st_size > 1_000_000 > (data.parent / "artefact").stat().st_size
    data.write_bytes(bytes(data.stat().st_size))
    again = Artefacts(Cache(tmp_path))
    np.testing.assert_array_equal(logits(again), first)
    assert again.cache.made == {"precision": 1}
    assert any("truncated or altered" in warning for warning in again.cache.warnings)


def test_other_weights_are_another_export_and_are_in_the_record(make: MakePipeline, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    state = vit_digits.module().state_dict()
    save_file({name: tensor * 1.01 for name, tensor in state.items()}, tmp_path / "other.safetensors")
    plain, other = make().artefacts, Artefacts(make().artefacts.cache, {"vit_digits": tmp_path / "other.safetensors"})
    own, given = (dict(artefacts.transformed(case(), Phases()).digests) for artefacts in (plain, other))
    assert given["export"] != own["export"]
    assert "checkpoint" in given.keys() - own.keys()


BAKED = '''"""Counts its rows in Python, which no trace follows."""
import torch
from dataclasses import replace
from variants.models.vit_digits import vit_digits
class Baked(torch.nn.Module):
    def forward(self, images):
        return images.flatten(1)[:, :10] / len(range(images.shape[0]))
baked = replace(vit_digits, module=Baked)
'''


def test_an_export_that_differs_from_pytorch_fails_its_case_before_anything_is_made_of_it(make: MakePipeline, add_file: AddFile) -> None:
    add_file("variants.models", "baked", BAKED)
    outcome = failed(make().run(Case("baked", (), "fp32", 8, "onnxruntime")))
    assert outcome.stage == "export"
    assert outcome.reason.startswith("the export differs from PyTorch at batch 1: output 'logits' has signal-to-noise ")
