"""Layer information: detailed, names only, and as real writers break it."""

from __future__ import annotations

import json

import pytest

from common.errors import UserError
from reports.layers.found import Described
from reports.layers.sources.export_layer_info import parse
from tests.reports.layers.files import info, layer, tensor

CONVOLUTION = {
    "ParameterType": "Convolution",
    "Kernel": [3, 3],
    "Groups": 2,
    "OutMaps": 16,
    "Weights": {"Type": "Half", "Count": 576},
    "Bias": {"Type": "Float", "Count": 16},
}


def one(text: str) -> Described:
    (found,) = parse(text.encode()).described
    return found


def convolution(name: str = "conv", **more: object) -> dict[str, object]:
    shapes = {"Inputs": [tensor("x", (2, 8, 4, 4))], "Outputs": [tensor("y", (2, 16, 4, 4))]}
    return {**layer(name, "CaskConvolution"), **shapes, **CONVOLUTION, **more}


def test_a_convolution_has_its_type_precision_bytes_and_operations() -> None:
    found = one(info(convolution(TacticName="sm80_x", StreamId=0)))
    assert (found.type, found.subtype, found.tactic, found.stream) == ("Convolution", "CaskConvolution", "sm80_x", 0)
    assert (found.inputs[0].precision, found.inputs[0].shape) == ("FP16", (2, 8, 4, 4))
    assert found.bytes_read == 2 * 8 * 4 * 4 * 2 + 576 * 2 + 16 * 4
    assert found.bytes_written == 2 * 16 * 4 * 4 * 2
    assert found.operations == 2 * (2 * 16 * 4 * 4) * (8 // 2) * 9


def test_a_transposed_convolution_is_told_from_a_plain_one() -> None:
    found = one(info(convolution(LayerType="CaskDeconvolutionV2")))
    assert found.type == "Deconvolution"
    assert found.operations == 2 * (2 * 8 * 4 * 4) * 16 // 2 * 9


def test_layers_of_equal_shapes_but_other_weights_have_their_own_costs() -> None:
    wide = convolution("wide", Weights={"Type": "Float", "Count": 576})
    large = convolution("large", Kernel=[5, 5], Weights={"Type": "Half", "Count": 1600})
    first, second, third = parse(info(convolution(), wide, large).encode()).described
    assert second.bytes_read == (first.bytes_read or 0) + 576 * 2
    assert third.operations == (first.operations or 0) // 9 * 25


def test_a_convolution_fused_with_a_pooling_counts_before_it_pools() -> None:
    fused = {
        **layer("c + p", "ConvActPool", ParameterType="ConvActPool"),
        "Inputs": [tensor("x", (1, 4, 8, 8))],
        "Outputs": [tensor("y", (1, 16, 4, 4))],
        **{"ConvKernel": [3, 3], "ConvStride": [1, 1], "ConvPrePadding": [1, 1], "ConvPostPadding": [1, 1], "ConvDilation": [1, 1]},
        **{"ConvOutMaps": 16, "ConvGroups": 1, "ConvWeights": {"Type": "Int8", "Count": 576}},
    }
    found = one(info(fused))
    assert found.operations == 2 * 16 * 8 * 8 * 4 * 9
    assert found.bytes_read == 4 * 8 * 8 * 2 + 576


def test_a_tensor_that_is_listed_twice_is_read_once() -> None:
    found = one(info({**layer("l"), "Inputs": [tensor("x"), tensor("x")]}))
    assert found.bytes_read == 8 * 4 * 4 * 2


@pytest.mark.parametrize("again", ["x", "other"])
def test_layers_of_equal_shapes_differ_by_whether_a_tensor_is_listed_twice(again: str) -> None:
    twice, both = {**layer("a"), "Inputs": [tensor("x"), tensor("x")]}, {**layer("b"), "Inputs": [tensor("x"), tensor(again)]}
    found = parse(info(twice, both, twice).encode()).described
    assert [layer.bytes_read for layer in found] == [256, 256 if again == "x" else 512, 256]


def test_a_dynamic_shape_has_neither_bytes_nor_operations() -> None:
    words = "N/A due to dynamic shapes"
    found = one(info({**convolution(), "Inputs": [tensor("x", (-1, 8, 4, 4), words)], "Outputs": [tensor("y", (-1, 16, 4, 4), words)]}))
    assert (found.bytes_read, found.bytes_written, found.operations) == (None, None, None)


def test_a_layer_that_does_nothing_moves_nothing() -> None:
    found = one(info(layer("Reformatting CopyNode for Input Tensor 0 to x", "NoOp")))
    assert (found.bytes_read, found.bytes_written, found.operations) == (0, 0, 0)


def test_myelin_layers_without_location_tactic_or_tensors_are_read() -> None:
    gemm = {"Name": "g", "LayerType": "gemm", "Inputs": [{"Name": "x", "Dimensions": [2, 8], "Format/Datatype": "Half"}]}
    gemm["Outputs"] = [{"Name": "y", "Dimensions": [2, 4], "Format/Datatype": "Half"}]
    shape = {"Name": "s", "LayerType": "shape_call", "Inputs": [], "Outputs": []}
    found = parse(info(gemm, shape).encode()).described
    assert [layer.operations for layer in found] == [2 * 2 * 4 * 8, 0]
    assert found[1].bytes_read is None


def test_11_x_writes_format_and_data_type_apart() -> None:
    split = {"Name": "x", "Dimensions": [2, 3], "Format": "Row major linear", "DataType": "BFloat16"}
    text = json.dumps({"Layers": [{**layer("l"), "Inputs": [split]}], "I/O Tensors": ["x"]})
    assert (one(text).inputs[0].precision, one(text).inputs[0].bytes) == ("BF16", 12)


def test_names_only_are_layers_without_a_type_and_the_reader_is_told() -> None:
    found = parse(info("a", "b").encode())
    assert [(layer.name, layer.type) for layer in found.described] == [("a", ""), ("b", "")]
    assert "--profilingVerbosity=detailed" in found.notes[0]


def test_several_streams_are_told() -> None:
    (note,) = parse(info(layer("a", StreamId=0), layer("b", StreamId=1)).encode()).notes
    assert note.startswith("the engine runs on 2 streams")


def test_missing_bindings_are_no_reason_to_refuse() -> None:
    assert one(json.dumps({"Layers": [layer("l")]})).name == "l"


RAW = '{{"Layers": [{{\n  "Name": "{name}",\n  "LayerType": "kgen",\n  "Inputs": [],\n  "Outputs": [],\n  "Metadata": "{metadata}"\n}}]}}'


@pytest.mark.parametrize("name", ['say "hi"', r"C:\dir\q", "a\x1eb\x1fc", "größe", '"', 'ends in "x"'])
def test_a_name_that_the_writer_did_not_escape_is_mended(name: str) -> None:
    assert one(RAW.format(name=name, metadata="m")).name == name


def test_unescaped_names_alone_are_mended_too() -> None:
    found = parse(b'{"Layers": ["plain"\n,"say "hi""\n,"last \\d"\n],\n"Bindings": ["x"\n]}').described
    assert [layer.name for layer in found] == ["plain", 'say "hi"', r"last \d"]


def test_metadata_of_any_length_with_raw_separators_is_read() -> None:
    metadata = "\x1e".join(f"[ONNX Layer: node {n}]" for n in range(3000))
    assert one(RAW.format(name="l", metadata=metadata)).metadata == metadata


def test_a_number_that_is_none_is_mended() -> None:
    assert one(info(layer("l", Scale=1.0)).replace("1.0", "-nan")).name == "l"


BROKEN = {
    "cut off": info(layer("a"), layer("b"))[:-30],
    "no layer": info(),
    "layers are numbers": '{"Layers": [1]}',
    "layers are an object": '{"Layers": {}}',
    "a shape of words": info({**layer("a"), "Inputs": [{"Name": "x", "Dimensions": "large"}]}),
    "deep": '{"Layers": [' + "[" * 100_000,
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_a_damaged_one_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(UserError, match=r"layer information.*: export it again$") as refused:
        parse(text.encode())
    assert "\n" not in str(refused.value)
