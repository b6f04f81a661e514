"""A model as TensorRT layers instead of ONNX nodes: what a file of variants/api declares, and the file that carries its weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from common.discover import discover
from common.errors import UserError
from variants.api_layers import Bindings, Layers
from variants.shapes import inputs_at
from variants.variant import BATCH, Array, Variant

if TYPE_CHECKING:
    import torch
    from tensorrt import INetworkDefinition  # type: ignore[import-not-found, unused-ignore]  # present with TensorRT or its stubs

PACKAGE = "variants.api"
DTYPES = {"fp32": "float32", "fp16": "float16"}
"""What a network can be built in by precision; INT8 is ranges and Q/DQ nodes of an ONNX graph."""
DESCRIPTION = "trtbench"
"""The safetensors file's metadata entry."""


@dataclass(frozen=True, slots=True)
class ApiNetwork:
    """How one family of models is built layer by layer.

    `settings(module)` is what the shapes of the weights do not say: heads, epsilons. `build(layers, *inputs, **settings)`
    adds the layers and returns the output, a tensor, or a tuple of them.
    """

    settings: Callable[[torch.nn.Module], Mapping[str, float]]
    build: Callable[..., Any]


class Input(msgspec.Struct, frozen=True):
    """An input of the network; -1 where a dimension is dynamic, `dtype` as numpy calls it."""

    name: str
    dtype: str
    shape: tuple[int, ...]


class Description(msgspec.Struct, frozen=True):
    """What the weights are for: all that is needed to build without torch and without the variant.

    `dtype` is what the network computes in, as numpy calls it; its inputs and outputs stay what they are.
    """

    network: str
    dtype: str
    settings: dict[str, float | int]
    inputs: tuple[Input, ...]
    outputs: tuple[str, ...]


def why_not(name: str, passes: Sequence[str] = (), precision: str = "fp32") -> str:
    """Why the variant called `name` has no network API form behind these passes, in this precision; "" when it has."""
    known = discover(PACKAGE, ApiNetwork)
    if _stem(name) not in known:
        return f"{_stem(name)} is not written layer by layer; {', '.join(known)} are (variants/api)"
    if passes:
        return "graph passes rewrite ONNX: a network of the API has none"
    return "" if precision in DTYPES else f"a network of the API is built in {' or '.join(DTYPES)}"


def write(variant: Variant, name: str, path: Path, precision: str = "fp32", batch: int = 1) -> tuple[int, int]:
    """Write the weights of `variant`, called `name`, and what they are for, to the safetensors file `path`.

    Inputs are dynamic where the ONNX export's are; a variant that is not dynamic is fixed at `batch`. The weights lie there as
    they are, the layers round them to `precision`. Returns how many there are and their bytes.
    """
    from safetensors.numpy import save_file

    module = variant.module()
    fixed = variant.only_batch or batch
    example = inputs_at(variant, {BATCH: fixed})
    description = Description(
        network=_stem(name),
        dtype=DTYPES[precision],
        settings=dict(discover(PACKAGE, ApiNetwork)[_stem(name)].value.settings(module)),
        inputs=tuple(Input(key, array.dtype.name, _shape(variant, key, array)) for key, array in example.items()),
        outputs=variant.outputs,
    )
    arrays = weights(module)
    save_file(arrays, path, metadata={DESCRIPTION: msgspec.json.encode(description).decode()})
    return len(arrays), sum(array.nbytes for array in arrays.values())


def define(path: Path, trt: Bindings, network: INetworkDefinition) -> Layers:
    """Add the network of the file `path` to `network`; what is returned must live until the engine is built.

    Raises UserError when a weight is left over: the layers would not be that model.
    """
    from safetensors import safe_open
    from safetensors.numpy import load_file

    with safe_open(path, framework="numpy") as file:
        description = msgspec.json.decode(file.metadata()[DESCRIPTION], type=Description)
    layers = Layers(trt, network, load_file(path), np.dtype(description.dtype))
    inputs = [layers.input(given.name, given.shape, np.dtype(given.dtype)) for given in description.inputs]
    built = discover(PACKAGE, ApiNetwork)[description.network].value.build(layers, *inputs, **description.settings)
    for name, tensor in zip(description.outputs, built if isinstance(built, tuple) else (built,), strict=True):
        layers.output(tensor, name)
    if left := layers.unused():
        raise UserError(f"network API: {description.network} leaves {len(left)} weights unused ({', '.join(left[:3])}); mend variants/api")
    return layers


def weights(module: torch.nn.Module) -> dict[str, Array]:
    """The state dict as float arrays: what is tied to an earlier entry once, counters of training steps not at all."""
    found: dict[str, Array] = {}
    seen: set[int] = set()
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point() and tensor.data_ptr() not in seen:
            seen.add(tensor.data_ptr())
            found[name] = np.ascontiguousarray(tensor.numpy())
    return found


def _shape(variant: Variant, name: str, array: Array) -> tuple[int, ...]:
    if not variant.dynamic:
        return array.shape
    free = set(variant.axes.get(name, {})) | (set() if variant.only_batch else {0})
    return tuple(-1 if axis in free else size for axis, size in enumerate(array.shape))


def _stem(name: str) -> str:
    return name.partition(":")[0]
