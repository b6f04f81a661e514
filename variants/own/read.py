"""An ONNX file read without being trusted: nothing of it is executed, and each reason to refuse it is one sentence."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from common.errors import UserError
from variants.own.external import refuse_outside
from variants.own.operators import refuse_unknown


def read(path: Path) -> onnx.ModelProto:
    """The model, weights that lie in other files left there. Raises UserError with the file's name and what to do."""
    model = _parsed(path)
    refuse_unknown(path, model)
    external = refuse_outside(path, model)
    try:
        onnx.checker.check_model(str(path) if external else model)
    except (onnx.checker.ValidationError, ValueError) as error:
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason given")
        raise UserError(f"{path}: is not a valid ONNX model ({reason}); export it again") from error
    return model


def _parsed(path: Path) -> onnx.ModelProto:
    try:
        model = onnx.load(path, format="protobuf", load_external_data=False)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); name an .onnx file or a folder of them") from error
    except Exception as error:  # protobuf's DecodeError, whose package has no types
        raise UserError(f"{path}: is not an ONNX file, or was truncated; export or copy it again") from error
    if not model.ir_version or not model.opset_import or not model.graph.node:
        raise UserError(f"{path}: is not an ONNX file, or holds no graph; export or copy it again")
    opsets = tuple((opset.domain, opset.version) for opset in model.opset_import)
    if reason := _too_new(model.ir_version, opsets):
        raise UserError(f"{path}: {reason}; export it at an earlier opset, or install a newer onnx and onnxruntime")
    return model


@cache
def _too_new(ir: int, opsets: tuple[tuple[str, int], ...]) -> str:
    """Why onnx or ONNX Runtime does not take this stamp; asked of ONNX Runtime with an empty model, as it tells nobody its limits."""
    import onnxruntime

    if ir > onnx.IR_VERSION:
        return f"IR version {ir} is newer than onnx {onnx.__version__} knows ({onnx.IR_VERSION})"
    for domain, version in opsets:
        known = onnx.defs.onnx_opset_version()
        if domain in ("", "ai.onnx") and version > known:
            return f"opset {version} is newer than onnx {onnx.__version__} knows ({known})"
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1]), helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "stamp", value[:1], value[1:])
    stamps = {"": 13, **{"" if domain == "ai.onnx" else domain: version for domain, version in opsets}}
    empty = helper.make_model(graph, ir_version=ir, opset_imports=[helper.make_opsetid(*stamp) for stamp in stamps.items()])
    try:
        quiet = onnxruntime.SessionOptions()
        quiet.log_severity_level = 4
        onnxruntime.InferenceSession(empty.SerializeToString(), quiet, providers=["CPUExecutionProvider"])
    except Exception:  # its exception types share no public base
        numbers = ", ".join(f"{domain or 'opset'} {version}" for domain, version in opsets)
        return f"IR version {ir} with {numbers} is newer than ONNX Runtime {onnxruntime.__version__} takes"
    return ""
