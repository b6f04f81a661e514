"""The value of one node whose inputs are all known, by ONNX Runtime: the arithmetic that the graph would have run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from variants.variant import Array

ERRORS = 3
"""ONNX Runtime's severity; a node that it does not know is no error of ours."""
LATEST_IR = 10
"""What every ONNX Runtime of this project's range reads."""


def evaluate(node: gs.Node, inputs: Sequence[Array | None], opset: int) -> list[Array] | None:
    """The outputs of `node` for the arrays `inputs` (None where it leaves one out); None where ONNX Runtime has no kernel for it."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = ERRORS
    options.intra_op_num_threads = 1
    try:
        model = _alone(node, inputs, opset).SerializeToString()
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        outputs = session.run(None, {f"i{place}": array for place, array in enumerate(inputs) if array is not None})
    except Exception:  # of ONNX Runtime's pybind module: they share no public base
        return None
    return [np.asarray(output) for output in outputs]


def _alone(node: gs.Node, inputs: Sequence[Array | None], opset: int) -> onnx.ModelProto:
    """A model of that node only, the arrays being its inputs."""
    named = [gs.Variable(f"i{place}", a.dtype, a.shape) if a is not None else gs.Variable.empty() for place, a in enumerate(inputs)]
    outputs = [gs.Variable(f"o{place}") for place in range(len(node.outputs))]
    copied = gs.Node(node.op, "node", node.attrs, named, outputs, node.domain)
    given = [tensor for tensor in named if not tensor.is_empty()]
    model: onnx.ModelProto = gs.export_onnx(gs.Graph([copied], given, outputs, opset=opset), do_type_check=False)
    model.ir_version = min(model.ir_version, LATEST_IR)
    return model
