"""The variant of an ONNX file: its reference, its metric, and the user's own inputs and outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from common.errors import UserError
from tests.variants.own.models import CLASSIFIER, TOKENS, saved
from tests.variants.own.test_read import external
from variants.export import reference
from variants.own.known import Given
from variants.own.variant import variant, within_half
from variants.passes.fold import fold
from variants.variant import Tensors, Variant

TWICE = "m (float[n, 3] x) => (float[n, 3] y) { y = Add (x, x) }"
PRODUCT = "m (float[3, 4] a, float[4, 2] b, float s) => (float[3, 2] y) { p = MatMul (a, b)\n y = Mul (p, s) }"


def npz(folder: Path, name: str = "inputs", **arrays: npt.ArrayLike) -> Path:
    path = folder / f"{name}.npz"
    np.savez(path, **{key: np.asarray(value) for key, value in arrays.items()})  # type: ignore[arg-type]
    return path


def own(folder: Path, text: str, given: Given | None = None) -> Variant:
    return variant(saved(folder, text), given or Given()).variant


def refusal(folder: Path, text: str, given: Given) -> str:
    with pytest.raises(UserError) as error:
        own(folder, text, given)
    assert "\n" not in str(error.value)
    return str(error.value)


def f32(*shape: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def test_the_reference_is_what_the_file_computes(tmp_path: Path) -> None:
    model = own(tmp_path, CLASSIFIER, Given(dims={"H": 8, "W": 9}))
    images = model.inputs("test")["images"]
    np.testing.assert_allclose(reference(model)["logits"], images.mean((2, 3)), atol=1e-5)


def test_a_run_taken_whole_has_its_samples_on_a_new_first_axis(tmp_path: Path) -> None:
    model = own(tmp_path, PRODUCT)
    test = model.inputs("test")
    assert (model.batched, model.only_batch, test["s"].shape, test["a"].shape) == (False, 1, (8,), (8, 3, 4))
    np.testing.assert_allclose(reference(model)["y"], test["a"] @ test["b"] * test["s"][:, None, None], rtol=1e-4, atol=1e-5)


def test_the_export_is_the_file_itself_and_holds_the_weights_that_lay_beside_it(tmp_path: Path) -> None:
    path = saved(tmp_path, CLASSIFIER)
    ready = variant(path, Given()).variant.ready
    assert ready is not None
    ready.write(tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == path.read_bytes()
    folder = tmp_path / "beside"
    folder.mkdir()
    (folder / "weights.bin").write_bytes(np.arange(3, dtype=np.float32).tobytes())
    made = variant(external(folder, "weights.bin"), Given()).variant
    assert made.ready is not None
    made.ready.write(tmp_path / "whole")
    assert onnx.numpy_helper.to_array(onnx.load(tmp_path / "whole").graph.initializer[0]).tolist() == [0, 1, 2]


def test_a_file_from_before_weights_and_inputs_were_told_apart_can_be_rewritten(tmp_path: Path) -> None:
    weight = onnx.numpy_helper.from_array(np.eye(4, dtype=np.float32), "w")
    described = [onnx.helper.make_tensor_value_info(name, 1, (rows, 4)) for name, rows in (("x", "N"), ("w", 4), ("y", "N"))]
    graph = onnx.helper.make_graph([onnx.helper.make_node("MatMul", ["x", "w"], ["y"])], "g", described[:2], described[2:], [weight])
    old = onnx.helper.make_model(graph, ir_version=3, opset_imports=[onnx.helper.make_opsetid("", 9)])
    onnx.save(old, tmp_path / "old.onnx")
    made = variant(tmp_path / "old.onnx", Given()).variant
    assert made.ready is not None
    made.ready.write(tmp_path / "export.onnx")
    export = onnx.load(tmp_path / "export.onnx")
    assert [value.name for value in export.graph.input] == ["x"]
    rewritten, rewrites = fold.run(export)
    onnx.checker.check_model(rewritten)
    assert rewrites == 0


def test_logits_are_judged_by_their_decision_and_others_by_their_size(tmp_path: Path) -> None:
    assert own(tmp_path, CLASSIFIER).metric == "top-1 agreement"
    assert own(tmp_path, TOKENS).metric == "samples off by less than half"
    wanted: Tensors = {"y": f32(4, 9), "index": np.arange(4)}
    assert within_half({"y": wanted["y"] * 1.4, "index": np.arange(4)}, wanted) == 1
    assert within_half({"y": wanted["y"] * np.array([[1], [1], [1.6], [1]]), "index": np.array([0, 2, 2, 3])}, wanted) == 0.5


def test_inputs_of_the_user_calibrate_with_a_third_and_test_with_the_rest(tmp_path: Path) -> None:
    values = f32(9, 3)
    model = own(tmp_path, TWICE, Given(npz(tmp_path, x=values)))
    assert (model.inputs("calibration")["x"] == values[:3]).all()
    assert (model.inputs("test")["x"] == values[3:]).all()
    assert (reference(model)["y"] == 2 * values[3:]).all()


def test_the_users_reference_is_taken_in_place_of_onnx_runtime(tmp_path: Path) -> None:
    values, outputs = f32(9, 3), f32(9, 3)
    model = own(tmp_path, TWICE, Given(npz(tmp_path, x=values), npz(tmp_path, "outputs", y=outputs)))
    assert (reference(model)["y"] == outputs[3:]).all()


def test_one_whole_run_may_be_given_without_a_first_axis(tmp_path: Path) -> None:
    model = own(tmp_path, PRODUCT, Given(npz(tmp_path, a=f32(3, 4), b=f32(4, 2), s=np.float32(2))))
    assert reference(model)["y"].shape == (1, 3, 2)


def test_inputs_set_the_free_dimensions(tmp_path: Path) -> None:
    path = saved(tmp_path, "m (float[batch, s] x) => (float[batch, s] y) { y = Add (x, x) }")
    assert reference(variant(path, Given(npz(tmp_path, x=f32(3, 11)))).variant)["y"].shape == (2, 11)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"z": f32(9, 3)}, "has no 'x'; the model wants x, the file holds z"),
        ({"x": f32(9, 3), "z": f32(9, 3)}, "'z' is none of the model's"),
        ({"x": np.zeros((9, 3))}, "'x' is float64, the model has float32"),
        ({"x": f32(9, 4)}, "'x' is [9, 4], the model wants [n, 3]"),
        ({"x": f32(9, 3, 1)}, "give one axis for each"),
        ({"x": f32(0, 3)}, "has no samples"),
    ],
)
def test_inputs_that_are_not_the_models_are_refused(tmp_path: Path, arrays: dict[str, npt.ArrayLike], words: str) -> None:
    sentence = refusal(tmp_path, TWICE, Given(npz(tmp_path, "inputs", **arrays)))
    assert words in sentence
    assert f"--inputs {tmp_path / 'inputs.npz'}" in sentence


def test_inputs_that_disagree_with_each_other_or_with_dim_are_refused(tmp_path: Path) -> None:
    text = "m (float[n, s] a, float[n, s] b) => (float[n, s] y) { y = Add (a, b) }"
    assert "'a' has s 3" in refusal(tmp_path, text, Given(npz(tmp_path, a=f32(9, 3), b=f32(9, 4))))
    assert "'a' has 9 samples and 'b' 8" in refusal(tmp_path, text, Given(npz(tmp_path, a=f32(9, 3), b=f32(8, 3))))
    assert "--dim has s 5" in refusal(tmp_path, text, Given(npz(tmp_path, a=f32(9, 3), b=f32(9, 3)), dims={"s": 5}))
    fixed = "m (float[4, 3] x) => (float[4, 3] y) { y = Add (x, x) }"
    assert "9 samples are not whole batches of 4" in refusal(tmp_path, fixed, Given(npz(tmp_path, x=f32(9, 3))))


def test_a_reference_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    inputs = npz(tmp_path, x=f32(9, 3))
    for arrays, words in (
        ({"y": f32(8, 3)}, "has 8 samples where --inputs has 9"),
        ({"y": f32(9, 4)}, "'y' is [4] a sample, the model gives [3]"),
        ({"z": f32(9, 3)}, "has no 'y'"),
        ({"y": np.zeros((9, 3))}, "'y' is float64"),
    ):
        assert words in refusal(tmp_path, TWICE, Given(inputs, npz(tmp_path, "outputs", **arrays)))
    assert "needs the inputs it was computed from" in refusal(tmp_path, TWICE, Given(reference=npz(tmp_path, "outputs", y=f32(9, 3))))


def test_a_file_that_is_no_npz_is_refused_and_nothing_in_it_is_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "inputs.npz"
    whole = npz(tmp_path, "whole", x=f32(9, 3)).read_bytes()
    for content in (b"", b"hello", b"PK\x03\x04" + b"x" * 60, whole[:-20], whole[: len(whole) // 2]):
        path.write_bytes(content)
        assert "--inputs" in refusal(tmp_path, TWICE, Given(path))
    np.savez(path, x=np.array([print], dtype=object))
    assert "plain arrays" in refusal(tmp_path, TWICE, Given(path))
    np.save(tmp_path / "one.npy", f32(9, 3))
    assert "one array without a name" in refusal(tmp_path, TWICE, Given(tmp_path / "one.npy"))
    assert "cannot be read" in refusal(tmp_path, TWICE, Given(tmp_path / "absent.npz"))


def test_what_onnx_runtime_cannot_run_says_so_and_what_to_do(tmp_path: Path) -> None:
    model = own(tmp_path, "m (float[n, a] x, float[n, c] z) => (float[n, a] y) { y = Add (x, z) }", Given(dims={"a": 3, "c": 4}))
    with pytest.raises(UserError, match=r"does not run it on these inputs") as error:
        reference(model)
    assert "samples were x [3], z [4]: set other sizes with --dim" in str(error.value)
    assert "\n" not in str(error.value)


def test_an_output_whose_first_axis_is_no_batch_after_all_tells_the_way_out(tmp_path: Path) -> None:
    text = "m (float[batch, 3] x) => (float[batch, 3] y) { y = Concat <axis = 0> (x, x) }"
    with pytest.raises(UserError, match="its first axis is not the batch; fix the batch with --dim"):
        reference(own(tmp_path, text))
    assert reference(own(tmp_path, text, Given(dims={"batch": 2})))["y"].shape == (8, 4, 3)
