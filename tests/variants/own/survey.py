"""Every model of ONNX's backend tests through load, made-up inputs, reference and one run: python -m tests.variants.own.survey [name]

The same models are run on the inputs that ONNX gives them, and the reference held against the outputs it states. What is no
model with outputs to compare is counted by the sentence that refuses it. Pieces run in processes of their own, as an integer
division by zero or a broken kernel ends the process.
"""

from __future__ import annotations

import re
import sys
import tempfile
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from common.errors import UserError
from variants.own.known import Given
from variants.own.variant import variant

DATA = Path(onnx.__file__).parent / "backend" / "test" / "data"
PIECE = 25
WORKS, NOT_FINITE = "works", "works, with values that are not finite"


@dataclass(frozen=True, slots=True)
class Trial:
    """One model: what became of it with made-up inputs, and with those of its test data (None: it has none that can be saved)."""

    name: str
    made_up: str
    given: str | None


def folders() -> dict[str, Path]:
    """The models that ship as files, by name; those of `real` are only addresses, `light` are single files."""
    named = {
        f"{kind}/{folder.name}": folder / "model.onnx"
        for kind in ("simple", "pytorch-converted", "pytorch-operator")
        for folder in (DATA / kind).iterdir()
    }
    return named | {f"light/{file.stem}": file for file in (DATA / "light").glob("*.onnx")}


@cache
def nodes() -> dict[str, Any]:
    """The test cases of single operators, which onnx makes when asked."""
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {f"node/{case.name}": case for case in load_model_tests(kind="node")}


def made_up(path: Path) -> str:
    """What becomes of the model with inputs of our making."""
    return _tried(path, Given())


def _tried(path: Path, given: Given) -> str:
    try:
        own = variant(path, given).variant
        assert own.ready is not None
        reference = own.ready.reference()
    except UserError as error:
        return str(error)
    except Exception as error:
        return f"TRACEBACK {type(error).__name__}: {error}"
    assert set(reference) == set(own.outputs)
    finite = all(np.isfinite(array).all() for array in reference.values() if array.dtype.kind == "f")
    return WORKS if finite else NOT_FINITE


def with_data(path: Path, model: onnx.ModelProto, sets: list[tuple[list[Any], list[Any]]], folder: Path) -> str | None:
    """What becomes of it with the inputs that ONNX gives, and whether the outputs are those that ONNX states."""
    weights = {tensor.name for tensor in model.graph.initializer}
    names = [value.name for value in model.graph.input if value.name not in weights]
    if not sets or not all(isinstance(value, np.ndarray | np.generic) for part in sets[0] for value in part):
        return None
    arrays = {name: np.asarray(value) for name, value in zip(names, sets[0][0], strict=False)}
    np.savez(folder / "inputs.npz", **arrays)  # type: ignore[arg-type]
    try:
        made = variant(path, Given(folder / "inputs.npz")).variant
        assert made.ready is not None
        reference = made.ready.reference()
    except UserError as error:
        return str(error)
    except Exception as error:
        return f"TRACEBACK {type(error).__name__}: {error}"
    whole = 0 if made.batched else 1
    for value, expected in zip(model.graph.output, sets[0][1], strict=True):
        have = reference[value.name][0] if whole else reference[value.name]
        if made.batched:  # the test split only: the first samples calibrate
            expected = np.asarray(expected)[-len(have) :]
        if have.shape != np.shape(expected) or not np.allclose(have.astype(float), np.asarray(expected).astype(float), 1e-3, 1e-3, True):
            return f"other outputs than ONNX states: {value.name}"
    return WORKS


def _sets(folder: Path) -> list[tuple[list[Any], list[Any]]]:
    def arrays(kind: str) -> list[Any]:
        found = sorted((folder / "test_data_set_0").glob(f"{kind}_*.pb"), key=lambda file: int(re.sub(r"\D", "", file.stem)))
        return [numpy_helper.to_array(onnx.TensorProto.FromString(file.read_bytes())) for file in found]

    try:
        return [(arrays("input"), arrays("output"))] if (folder / "test_data_set_0").is_dir() else []
    except Exception:  # a sequence or an optional: read as a tensor it is nonsense of many kinds
        return []


def tried(names: list[str]) -> list[Trial]:
    """In this process."""
    files, cases, found = folders(), nodes() if any(name.startswith("node/") for name in names) else {}, []
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            case = cases.get(name)
            path = Path(folder) / "model.onnx" if case else files[name]
            if case:
                path.write_bytes(case.model.SerializeToString())
            model = onnx.load(path, load_external_data=False)
            sets = case.data_sets if case else _sets(path.parent)
            found.append(Trial(name, made_up(path), with_data(path, model, sets, Path(folder))))
    return found


def survey(wanted: str = "") -> list[Trial]:
    """All models whose name holds `wanted`."""
    names = [name for name in (*folders(), *nodes()) if wanted in name]
    return [trial for at in range(0, len(names), PIECE) for trial in _alone(names[at : at + PIECE])]


def _alone(names: list[str]) -> list[Trial]:
    try:
        with ProcessPoolExecutor(1, get_context("fork")) as pool:
            return pool.submit(tried, names).result()
    except BrokenProcessPool:
        if len(names) == 1:
            return [Trial(names[0], "ended the process", None)]
        return [trial for name in names for trial in _alone([name])]


def kind(sentence: str) -> str:
    """The sentence without what is particular to one model."""
    for pattern, short in REFUSALS.items():
        if re.search(pattern, sentence):
            return short
    return sentence


REFUSALS = {
    "the graph has no inputs": "no inputs",
    "is of the type": "an input or output is a sequence, an optional or a map",
    "cannot be fed from NumPy": "an input or output holds strings, bfloat16, 4-bit, 8-bit float or complex numbers",
    "axis of size 0": "an axis of size 0",
    "sets a shape, an axis or a count": "an input sets a shape, an axis or a count: wants --inputs",
    "newer than": "newer than ONNX Runtime takes",
    "no operator": "an operator that ONNX Runtime has not",
    "custom operator": "a custom operator",
    "not a valid ONNX": "onnx's own checker refuses it",
    "depends on the values": "the shape of an output depends on values",
    "does not take it": "ONNX Runtime does not take the model (old operators, rare types)",
    "does not run it on these inputs": "ONNX Runtime does not run it on these inputs",
    "other outputs than": "other outputs than ONNX states",
    "the model wants": "inputs of another shape than the model declares",
    "first axis is not the batch": "an output has not the batch first: wants --dim",
}


def main(wanted: str) -> None:
    """Print the counts, and with a name also each trial."""
    found = survey(wanted)
    for title, sentences in (
        ("made-up inputs", [trial.made_up for trial in found]),
        ("ONNX's own inputs", [trial.given for trial in found if trial.given is not None]),
    ):
        print(f"{title}: {len(sentences)} models")
        for what, count in Counter(kind(sentence) for sentence in sentences).most_common():
            print(f"  {count:5}  {what}")
    if wanted or "-v" in sys.argv:
        for trial in found:
            print(f"{trial.name}\n    {trial.made_up}\n    {trial.given}")


if __name__ == "__main__":
    main(next((word for word in sys.argv[1:] if word != "-v"), ""))
