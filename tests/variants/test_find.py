"""A model is found by what the user writes, and what is wrong is said with what there is."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from common.errors import UserError
from variants.find import find, names


def test_the_first_size_is_the_default_and_is_named_in_full() -> None:
    assert find("vit").name == find("vit:tiny").name == "vit:tiny"


def test_every_listed_name_is_found_under_itself() -> None:
    assert {"vit_digits", "vit:base", "bert:course", "bert_minilm"} <= set(names())
    assert [find(name).name for name in names()] == names()


def test_words_after_the_name_say_how_it_is_exported() -> None:
    assert find("vit:opset17").value.opset == 17
    assert find("vit:opset17").name == "vit:tiny:opset17"
    assert not find("vit_digits:static").value.dynamic
    both = find("bert:tiny:opset20:static")
    assert (both.value.opset, both.value.dynamic, both.name) == (20, False, "bert:tiny:opset20:static")


def test_a_dynamic_dimension_is_timed_at_the_size_asked_for() -> None:
    longer = find("bert:tiny:sequence48").value
    assert longer.ranges["sequence"] == (7, 48, 128)
    assert {array.shape for split in ("calibration", "test") for array in longer.inputs(split).values()} == {(8, 48)}
    assert not np.array_equal(longer.inputs("test")["input_ids"], longer.inputs("calibration")["input_ids"])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vti", "unknown variant 'vti': did you mean 'vit:"),
        ("vit:huge", "variant 'vit:huge': vit has no size 'huge'; there are: tiny, small, base, fashion"),
        ("vit_digits:base", "variant 'vit_digits:base': 'base' is none of opset13 to opset20, static; nothing else may follow"),
        ("vit:tiny:opset12", "variant 'vit:tiny:opset12': 'opset12' is none of opset13 to opset20, static"),
        ("bert:sequence", "variant 'bert:sequence': bert has no size 'sequence'"),
        ("bert:base:height5", "variant 'bert:base:height5': 'height5' is none of opset13 to opset20, sequence7 to sequence512, static"),
        ("bert:base:sequence513", "variant 'bert:base:sequence513': sequence 513 is outside its range of 7 to 512; choose one inside it"),
        ("bert:base:sequence6", "variant 'bert:base:sequence6': sequence 6 is outside its range"),
    ],
)
def test_what_is_not_there_is_refused_in_one_sentence(name: str, expected: str) -> None:
    with pytest.raises(UserError) as error:
        find(name)
    assert str(error.value).startswith(expected)
    assert "\n" not in str(error.value)


def test_no_size_is_made_with_torch() -> None:
    code = "import sys; from variants.find import find, names; [find(name) for name in names()]; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
