"""One run of an ONNX file on the CPU, with any of its tensors as outputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx

from variants.variant import Array, Tensors

ABSENT = ("is not a registered function/op", "NOT_IMPLEMENTED")
"""In ONNX Runtime's words: the graph may be right, only this runtime has nothing for it."""


class CannotRunError(Exception):
    """One line of why; `by_nature` where the runtime lacks an operator or its kernel."""

    def __init__(self, error: Exception) -> None:
        text = " ".join(str(error).split())
        self.by_nature = any(words in text for words in ABSENT)
        super().__init__(text[:300])


def run(path: Path, feeds: Tensors, tensors: Sequence[str] = ()) -> dict[str, Array]:
    """The outputs, or `tensors` (outputs of nodes of the main graph) instead, by name; those that are no arrays are left out.

    Inputs that the graph does not have are not fed, the others in the graph's own type. Raises CannotRunError.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    try:
        given = _widened(path, tensors, options) if tensors else str(path)
        session = onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])
        names = list(tensors) or [output.name for output in session.get_outputs()]
        fed = {port.name: _typed(feeds[port.name], port.type) for port in session.get_inputs() if port.name in feeds}
        arrays = session.run(names, fed)
    except Exception as error:  # its exception types share no public base
        raise CannotRunError(error) from error
    return {name: array for name, array in zip(names, arrays, strict=True) if isinstance(array, np.ndarray)}


def _widened(path: Path, tensors: Sequence[str], options: object) -> bytes:
    """The model with `tensors` as further outputs; weights that lie beside the file stay there."""
    model = onnx.load(path, load_external_data=False)
    present = {value.name for value in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in tensors if name not in present)
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path.parent))  # type: ignore[attr-defined]
    return bytes(model.SerializeToString())


def _typed(array: Array, said: str) -> Array:
    """A pass may make int64 inputs int32."""
    return array.astype(np.int32) if said == "tensor(int32)" and array.dtype == np.int64 else array
