"""A session of ONNX Runtime whose inputs and outputs stay on a device, each at one address."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from variants.variant import Array, Tensors

GRAPH_ID, NO_CAPTURE = "gpu_graph_id", "-1"
NUMPY = {"float": "float32", "double": "float64"}
"""ONNX Runtime's names of element types where they are not numpy's."""
Shapes: TypeAlias = tuple[tuple[str, tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True)
class _Bound:
    """Device memory for one setting of the input shapes, and the call that runs on it."""

    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    run: Callable[[], object]

    def fill(self, feeds: Tensors) -> None:
        """Copy the inputs to where they are read."""
        for name, value in self.inputs.items():
            value.update_inplace(np.asarray(feeds[name], order="C"))


class DeviceSession:
    """A loaded plan. A captured graph replays on the addresses it was captured with, so every setting of shapes has its own memory."""

    def __init__(self, session: Any, device: str) -> None:
        self.session, self.device = session, device
        self._bound: dict[Shapes, _Bound] = {}

    def run(self, feeds: Tensors) -> dict[str, Array]:
        """Outputs by name, copied to the host."""
        bound = self._place(feeds)
        bound.fill(feeds)
        bound.run()
        return {name: np.array(value.numpy()) for name, value in bound.outputs.items()}

    def bind(self, feeds: Tensors) -> Callable[[], object]:
        """A call that runs once on inputs already on the device, and returns when the outputs are there."""
        bound = self._place(feeds)
        bound.fill(feeds)
        return bound.run

    def _place(self, feeds: Tensors) -> _Bound:
        shapes = tuple((name, array.shape) for name, array in feeds.items())
        if shapes not in self._bound:
            self._bound[shapes] = self._bind(feeds, graph_id=len(self._bound))
        return self._bound[shapes]

    def _bind(self, feeds: Tensors, graph_id: int) -> _Bound:
        """A first run outside any graph finds the outputs' shapes; what it allocated for them is kept for all later ones."""
        import onnxruntime as ort

        binding = self.session.io_binding()
        inputs = {name: ort.OrtValue.ortvalue_from_numpy(np.array(array, order="C"), self.device, 0) for name, array in feeds.items()}
        for name, value in inputs.items():
            binding.bind_ortvalue_input(name, value)
        names = [output.name for output in self.session.get_outputs()]
        for name in names:
            binding.bind_output(name, self.device)
        self.session.run_with_iobinding(binding, _run_options(NO_CAPTURE))
        outputs = dict(zip(names, binding.get_outputs(), strict=True))
        for name, value in outputs.items():
            binding.bind_ortvalue_output(name, value)
        return _Bound(inputs, outputs, partial(self.session.run_with_iobinding, binding, _run_options(str(graph_id))))


def blank(session: Any, shapes: Sequence[tuple[str, tuple[int, ...]]]) -> dict[str, Array]:
    """Zeros for every input, of these shapes and the session's element types."""
    kinds = {value.name: value.type.removeprefix("tensor(").removesuffix(")") for value in session.get_inputs()}
    return {name: np.zeros(shape, NUMPY.get(kinds[name], kinds[name])) for name, shape in shapes}


def _run_options(graph_id: str) -> Any:
    import onnxruntime as ort

    options: Any = ort.RunOptions()
    options.add_run_config_entry(GRAPH_ID, graph_id)
    return options
