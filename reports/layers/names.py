"""What a layer's name says beside naming it: the noise of a build, its parts, whether TensorRT made it up."""

from __future__ import annotations

import re

PROFILE = re.compile(r" ?\[profile \d+\]")
NOISE = re.compile(r"_myl\d+_\d+$|__mye\d+|(?<=_)0x[0-9a-f]{8,}|(?<=\(Unnamed Layer\* )\d+|_clone_\d+| from DataType\.\w+ to DataType\.\w+")
GENERATED = re.compile(r"^(?:dummy_shape_call|__my|\[trainStation|shape_call)")
COPY = re.compile(r"^(?:Reformatting CopyNode|Reformatted |copied_|copy_)|\[(?:DevicetoShapeHostCopy|ShapeHostToDeviceCopy)\]$")

WEIGHT = re.compile(r"[./_](weight|kernel)s?(/\w+)?$", re.IGNORECASE)


def copies(name: str) -> bool:
    """Whether the layer only copies or reformats another layer's tensor."""
    return COPY.search(name) is not None


def generated(name: str) -> bool:
    """Whether the name is TensorRT's own and holds no name of the model."""
    return GENERATED.match(name) is not None


def normal(name: str) -> str:
    """The name without what changes from build to build: profile numbers, Myelin's counters, hashes."""
    return NOISE.sub("", PROFILE.sub("", name))


def weight(name: str) -> str | None:
    """The weight that a fused name lists, which outlives the numbers of another export: "layer1.0.conv1.weight + Conv_9"."""
    return None if copies(name) else next((part for part in name.split(" + ") if WEIGHT.search(part)), None)


def parts(name: str) -> frozenset[str]:
    """The names that a fused name lists."""
    return frozenset(part for part in re.split(r" \+ |, ", normal(name).replace("PWN(", "")) if part)
