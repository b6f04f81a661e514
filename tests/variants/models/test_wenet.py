"""WeNet's two halves as variants: real chain of inputs, exports that compute what PyTorch does at every shape, metrics that move."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from common.errors import UserError
from tests.variants.graphs import run
from variants import find
from variants.export import export
from variants.models import _wenet, wenet_decoder, wenet_encoder
from variants.variant import Array, Tensors, Variant

NAMES = ("wenet_encoder:tiny", "wenet_decoder:tiny")
RTOL, ATOL = 1e-4, 2e-4
"""Log-probabilities of about -10, and scores that are sums of forty of them."""
every_half = pytest.mark.parametrize("name", NAMES)


@cache
def half(name: str) -> Variant:
    return find.find(name).value


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, onnx.ModelProto]:
    made = {}
    for name in NAMES:
        path = tmp_path_factory.mktemp("wenet") / "model.onnx"
        export(half(name), path)
        made[name] = onnx.load(path)
    return made


def computed(variant: Variant, given: Tensors) -> dict[str, Array]:
    with torch.no_grad():
        found = variant.module()(*(torch.from_numpy(array) for array in given.values()))
    return {name: tensor.numpy() for name, tensor in zip(variant.outputs, found, strict=True)}


@every_half
@pytest.mark.parametrize("number", range(3))
def test_the_export_computes_what_pytorch_does_on_batches_of_different_lengths(
    name: str, number: int, exported: dict[str, onnx.ModelProto]
) -> None:
    given = half(name).at(half(name).check_shapes[number])  # type: ignore[misc]
    expected, actual = computed(half(name), given), run(exported[name], given)
    for output, array in expected.items():
        assert actual[output].dtype == array.dtype
        np.testing.assert_allclose(actual[output], array, RTOL, ATOL, err_msg=output)


def test_the_export_is_opset_13_with_free_batch_frames_and_time(exported: dict[str, onnx.ModelProto]) -> None:
    dims = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for graph in exported.values()
        for value in graph.graph.input
    }
    assert dims["speech"] == ["batch", "frames", 80]
    assert dims["speech_lengths"] == ["batch"]
    assert dims["encoder_out"] == ["batch", "time", 64]
    assert dims["hyps_pad_sos_eos"] == ["batch", 10, 64]
    for graph in exported.values():
        onnx.checker.check_model(graph, full_check=True)
        assert {entry.version for entry in graph.opset_import} == {13}


def test_masks_are_made_of_the_lengths_inside_the_graph_as_the_write_ups_met_them(exported: dict[str, onnx.ModelProto]) -> None:
    """A Not whose result is sliced, and a Pad whose amounts come from a two-dimensional tensor: see tests/variants/test_obstacles.py."""
    graph = onnx.shape_inference.infer_shapes(exported["wenet_encoder:tiny"]).graph
    made = {output: node for node in graph.node for output in node.output}
    types = {value.name: value.type.tensor_type.elem_type for value in graph.value_info}
    sliced = [node.input[0] for node in graph.node if node.op_type == "Slice" and types.get(node.input[0]) == onnx.TensorProto.BOOL]
    assert len(sliced) == 2
    assert "Not" in {node.op_type for node in graph.node}
    pads = [node for node in graph.node if node.op_type == "Pad"]
    assert len(pads) == 2
    assert made[pads[0].input[1]].op_type == "Cast"


@every_half
def test_names_carry_the_path_of_the_module(name: str, exported: dict[str, onnx.ModelProto]) -> None:
    names = {node.name for node in exported[name].graph.node}
    expected = {
        "wenet_encoder:tiny": {"/encoder/embed/conv/conv.0/Conv", "/encoder/encoders.1/self_attn/linear_q/MatMul", "/ctc/ctc_lo/MatMul"},
        "wenet_decoder:tiny": {"/decoder/decoders.1/src_attn/linear_k/MatMul", "/decoder/output_layer/MatMul"},
    }
    assert expected[name] <= names


@every_half
def test_the_same_outputs_agree_wholly_and_noise_costs_agreement(name: str) -> None:
    variant = half(name)
    reference = computed(variant, variant.inputs("test"))
    assert variant.agreement(reference, reference) == 1
    draw = np.random.default_rng(0)
    shares = []
    for scale in (0.01, 1.0, 100.0):
        noisy = {k: v + scale * draw.normal(size=v.shape) if v.dtype == np.float32 else v for k, v in reference.items()}
        shares.append(variant.agreement(noisy, reference))
    assert shares[0] > shares[1] > shares[2]
    assert shares[0] > 0.9
    assert shares[2] < 0.75


def test_the_encoders_agreement_does_not_read_behind_an_utterances_end() -> None:
    variant = half("wenet_encoder:tiny")
    reference = computed(variant, variant.inputs("test"))
    changed = reference | {"ctc_log_probs": reference["ctc_log_probs"].copy()}
    for row, length in zip(changed["ctc_log_probs"], reference["encoder_out_lens"], strict=True):
        row[length:] = np.random.default_rng(1).normal(size=row[length:].shape)
    assert variant.agreement(changed, reference) == 1


def test_utterances_to_calibrate_on_are_not_those_to_test_with() -> None:
    both = [half("wenet_encoder:tiny").inputs(split)["speech"] for split in ("calibration", "test")]
    assert [len(array) for array in both] == [8, 16]
    assert not any(np.array_equal(one, other) for one in both[0] for other in both[1])


def test_hypotheses_start_and_end_and_stay_inside_the_vocabulary() -> None:
    given, eos = half("wenet_decoder:tiny").inputs("test"), _wenet.config("tiny").eos
    tokens, lengths = given["hyps_pad_sos_eos"], given["hyps_lens_sos"]
    assert tokens.shape == (8, 10, 64)
    assert (tokens[..., 0] == eos).all()
    for row, length in zip(tokens.reshape(-1, 64), lengths.ravel(), strict=True):
        assert (row[length:] == eos).all()
        assert ((row[1:length] > 0) & (row[1:length] < eos)).all()
    for utterance in tokens:
        assert len({row.tobytes() for row in utterance}) == 10
    assert (np.diff(given["ctc_score"], axis=1) <= 0).all()


@pytest.mark.parametrize(("batch", "frames"), [(1, 7), (4, 90)])
def test_inputs_at_any_setting_have_lengths_inside_their_frames(batch: int, frames: int) -> None:
    given = wenet_encoder.at({"batch": batch, "frames": frames})
    assert given["speech"].shape == (batch, frames, 80)
    assert given["speech"].dtype == np.float32
    assert given["speech_lengths"][0] == frames
    assert given["speech_lengths"].min() >= 7
    given = wenet_decoder.at("tiny", {"batch": batch, "time": frames})
    assert given["encoder_out"].shape == (batch, frames, 64)
    assert given["encoder_out_lens"].min() >= 1


def test_sizes_name_conformers_transformers_and_the_released_form() -> None:
    assert [_wenet.config(size).position for size in _wenet.SIZES] == ["relative", "relative", "key", "absolute"]
    assert all(Path(file).is_file() for name in NAMES for file in half(name).files)


def whole_model(folder: Path) -> Path:
    """A file with the names of WeNet's final.pt: both halves, two decoders, and a layer that nothing uses."""
    encoder = {name: tensor + 1 for name, tensor in _wenet.encoder("tiny").state_dict().items()}
    decoder = {name.replace("decoder.", "decoder.left_decoder.", 1): t for name, t in _wenet.decoder("tiny").state_dict().items()}
    more = {"encoder.encoders.0.concat_linear.weight": torch.zeros(1), "decoder.right_decoder.after_norm.weight": torch.zeros(1)}
    torch.save(encoder | decoder | more, folder / "final.pt")
    return folder / "final.pt"


def test_a_whole_models_checkpoint_gives_each_half_its_weights(tmp_path: Path) -> None:
    path, seeded = whole_model(tmp_path), _wenet.encoder("tiny").ctc.ctc_lo.bias
    encoder, decoder = (half(name).restore(path) for name in NAMES)  # type: ignore[misc]
    assert torch.equal(encoder.state_dict()["ctc.ctc_lo.bias"], seeded + 1)
    assert set(decoder.state_dict()) == set(_wenet.decoder("tiny").state_dict())


def test_a_checkpoint_without_this_half_is_refused_by_name(tmp_path: Path) -> None:
    torch.save(_wenet.encoder("tiny").state_dict(), tmp_path / "encoder.pt")
    with pytest.raises(UserError, match=r"encoder\.pt: does not fit the network: .* missing \(decoder\."):
        half("wenet_decoder:tiny").restore(tmp_path / "encoder.pt")  # type: ignore[misc]
