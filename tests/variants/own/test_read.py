"""What is wrong with a file is one sentence that names it, and nothing of it runs."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from common.errors import UserError
from tests.variants.own.models import CLASSIFIER, saved
from variants.own.known import Given, know
from variants.own.read import read


def refusal(path: Path) -> str:
    """The sentence."""
    with pytest.raises(UserError) as error:
        know(path, Given())
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_text_an_empty_file_and_a_truncated_one_are_no_onnx_files(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    whole = saved(tmp_path, CLASSIFIER, name="whole").read_bytes()
    for content in (b"", b"hello, I am not a model\n" * 9, b"\x00" * 64, b"PK\x03\x04" * 30, whole[: len(whole) // 2]):
        path.write_bytes(content)
        assert "is not" in refusal(path)


def test_every_truncation_of_a_model_is_refused_or_read_and_never_a_traceback(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    whole = saved(tmp_path, CLASSIFIER, name="whole").read_bytes()
    for length in range(0, len(whole), 3):
        path.write_bytes(whole[:length])
        with suppress(UserError):
            know(path, Given())


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "absent.onnx")


@pytest.mark.parametrize(("ir", "opset"), [(99, 17), (8, 99), (onnx.IR_VERSION, onnx.defs.onnx_opset_version() + 1)])
def test_a_newer_format_than_the_libraries_here_take_is_refused(tmp_path: Path, ir: int, opset: int) -> None:
    model = onnx.load(saved(tmp_path, CLASSIFIER))
    model.ir_version, model.opset_import[0].version = ir, opset
    onnx.save(model, tmp_path / "new.onnx")
    assert "newer than" in refusal(tmp_path / "new.onnx")


def test_a_custom_operator_is_named_with_its_node_also_inside_a_body(tmp_path: Path) -> None:
    header = '<ir_version: 8, opset_import: ["" : 17, "mine.ops" : 1]>'
    path = saved(tmp_path, "m (float[n, 3] x) => (float[n, 3] y) { y = mine.ops.Swish (x) }", header)
    model = onnx.load(path)
    model.graph.node[0].name = "block/act"
    onnx.save(model, path)
    assert "node 'block/act' is the custom operator 'mine.ops::Swish'" in refusal(path)
    inner = helper.make_graph(list(model.graph.node), "body", [], list(model.graph.output))
    branch = helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)
    condition = helper.make_tensor_value_info("c", TensorProto.BOOL, [])
    outer = helper.make_graph([branch], "m", [condition, *model.graph.input], list(model.graph.output))
    onnx.save(helper.make_model(outer, opset_imports=model.opset_import, ir_version=8), path)
    assert "mine.ops::Swish" in refusal(path)


def test_a_function_that_the_model_carries_and_an_operator_of_onnx_runtime_are_no_custom_operators(tmp_path: Path) -> None:
    carried = """m (float[n, 3] x) => (float[n, 3] y) { y = mine.ops.Twice (x) }
        <domain: "mine.ops", opset_import: ["" : 17]> Twice (a) => (b) { b = Add (a, a) }"""
    read(saved(tmp_path, carried, '<ir_version: 8, opset_import: ["" : 17, "mine.ops" : 1]>'))
    own = "m (float[n, 3] x) => (float[n, 3] y) { y = com.microsoft.FastGelu (x) }"
    read(saved(tmp_path, own, '<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>'))


def test_an_operator_that_the_opset_has_not_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, "m (float[n, 3] x) => (float[n, 3] y) { y = Gelu (x) }", '<ir_version: 8, opset_import: ["" : 17]>')
    assert "Gelu" in refusal(path)


def external(folder: Path, location: str, offset: int = 0) -> Path:
    """A model with one weight [3] of 12 bytes in another file."""
    model = onnx.load(saved(folder, "m (float[n, 3] x) => (float[n, 3] y) { y = Add (x, w) }"))
    weight = numpy_helper.from_array(np.arange(3, dtype=np.float32), "w")
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": str(offset), "length": "12"}.items():
        weight.external_data.add(key=key, value=value)
    model.graph.initializer.append(weight)
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_weights_beside_the_model_are_taken(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(np.arange(3, dtype=np.float32).tobytes())
    assert know(external(tmp_path, "weights.bin"), Given()).files == (tmp_path / "model.onnx", tmp_path / "weights.bin")


def test_weights_outside_the_folder_are_never_opened(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"x" * 12)
    for location in ("../secret", str(tmp_path / "secret"), "a/../../secret", "..\\secret", "C:\\secret", "/etc/passwd"):
        assert "outside the model's folder" in refusal(external(folder, location))
    (folder / "link").symlink_to(tmp_path / "secret")
    assert "a link out of the model's folder" in refusal(external(folder, "link"))
    (folder / "nested").symlink_to(tmp_path)
    assert "a link out of the model's folder" in refusal(external(folder, "nested/secret"))


def test_weights_that_are_missing_short_or_no_file_are_named(tmp_path: Path) -> None:
    assert "weights.bin', which is missing" in refusal(external(tmp_path, "weights.bin"))
    (tmp_path / "weights.bin").write_bytes(b"x" * 12)
    assert "too short" in refusal(external(tmp_path, "weights.bin", offset=8))
    os.mkfifo(tmp_path / "pipe")
    assert "no regular file" in refusal(external(tmp_path, "pipe"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("m () => (float[2] y) { y = Constant <value = float[2] {1, 2}> () }", "no inputs"),
        ("m (seq(float[2]) x) => (float[2] y) { i = Constant <value = int64 {0}> ()\n y = SequenceAt (x, i) }", "sequence"),
        ("m (optional(float[2]) x) => (float[2] y) { y = OptionalGetElement (x) }", "optional"),
        ("m (string[2] x) => (string[2] y) { y = Identity (x) }", "STRING"),
        ("m (bfloat16[2] x) => (bfloat16[2] y) { y = Identity (x) }", "BFLOAT16"),
        ("m (float[0, 2] x) => (float[0, 2] y) { y = Identity (x) }", "size 0"),
        ("m (float[n, 2] x) => (float[n, 2] y) { y = Identity (z) }", "not a valid"),
    ],
)
def test_what_cannot_be_fed_or_compared_is_refused(tmp_path: Path, text: str, words: str) -> None:
    assert words in refusal(saved(tmp_path, text))
