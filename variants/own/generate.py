"""Inputs for a model that came without any, seeded, by name, type and what reads them."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from common.errors import UserError
from variants.own.limits import Limit
from variants.own.ports import Port
from variants.variant import Array

SEED = 20_240_522
COARSE, SPECKLE = 8, 0.1
"""A picture is smooth: COARSE cells a side, and a little noise."""
STEPS = 1000


@dataclass(frozen=True, slots=True)
class Asked:
    """One input to make: `shape` with the samples on axis 0; `length` is the longest sequence that it may point into."""

    port: Port
    shape: tuple[int, ...]
    limit: Limit
    length: int

    @property
    def integer(self) -> bool:
        """Whether it holds whole numbers."""
        return np.dtype(self.port.dtype).kind in "iu"


Maker: TypeAlias = Callable[[Asked, np.random.Generator], Array]


def generate(ports: tuple[Port, ...], shapes: Mapping[str, tuple[int, ...]], limits: Mapping[str, Limit]) -> dict[str, Array]:
    """Every input at its shape. Raises UserError where values of that input cannot be made up."""
    made = {}
    for port in ports:
        asked = Asked(port, shapes[port.name], limits.get(port.name, Limit()), _length(port, ports, shapes))
        if asked.limit.shapes:
            raise UserError(f"input '{port.name}' sets a shape, an axis or a count ({asked.limit.shapes}); give real values with --inputs")
        rng = np.random.default_rng((SEED, zlib.crc32(port.name.encode())))
        values = np.asarray(_maker(asked)[1](asked, rng))
        if asked.integer and asked.limit.high is not None:
            values = np.clip(values, asked.limit.low or 0, max(asked.limit.high, 0))
        made[port.name] = np.ascontiguousarray(values.astype(port.dtype))
    return made


def kind(port: Port, shape: tuple[int, ...], limit: Limit) -> str:
    """What `generate` makes for this input, in words."""
    return _maker(Asked(port, shape, limit, 1))[0]


def _maker(asked: Asked) -> tuple[str, Maker]:
    name = asked.port.name
    for words, pattern, fits, maker in KINDS:
        if fits(asked) and pattern.search(name):
            return words, maker
    if np.dtype(asked.port.dtype).kind == "b":
        return "true or false", lambda asked, rng: rng.random(asked.shape) < 0.5
    if asked.integer:
        return f"whole numbers {_low(asked)} to {_high(asked)}", _integers
    if _picture(asked):
        return "smooth pictures, normalised", _pictures
    return "standard normal", lambda asked, rng: rng.standard_normal(asked.shape)


def _low(asked: Asked) -> int:
    narrow = np.dtype(asked.port.dtype).itemsize == 1
    default = int(np.iinfo(np.dtype(asked.port.dtype)).min) if narrow and asked.limit.high is None else 0
    return default if asked.limit.low is None else asked.limit.low


def _high(asked: Asked) -> int:
    narrow = np.dtype(asked.port.dtype).itemsize == 1
    default = int(np.iinfo(np.dtype(asked.port.dtype)).max) if narrow else 9
    return default if asked.limit.high is None else asked.limit.high


def _integers(asked: Asked, rng: np.random.Generator) -> Array:
    low = _low(asked)
    return rng.integers(low, max(low, _high(asked)), asked.shape, endpoint=True)


def _valid(asked: Asked, rng: np.random.Generator, size: int) -> Array:
    """How much of `size` is real, by sample: all of the first, half to all of the others."""
    valid = rng.integers(max(1, size // 2), size, asked.shape[:1], endpoint=True)
    valid[:1] = size
    return valid


def _mask(asked: Asked, rng: np.random.Generator) -> Array:
    """1 up to a length of its own by sample, then 0: padding on the right."""
    size = asked.shape[-1] if len(asked.shape) > 1 else 1
    valid = _valid(asked, rng, size).reshape(-1, *[1] * (len(asked.shape) - 1))
    return np.broadcast_to(np.arange(size) < valid, asked.shape) if len(asked.shape) > 1 else np.ones(asked.shape)


def _lengths(asked: Asked, rng: np.random.Generator) -> Array:
    valid = _valid(asked, rng, asked.length).reshape(-1, *[1] * (len(asked.shape) - 1))
    return np.broadcast_to(valid, asked.shape)


def _positions(asked: Asked, rng: np.random.Generator) -> Array:
    return np.broadcast_to(np.arange(asked.shape[-1] if len(asked.shape) > 1 else 1), asked.shape)


def _segments(asked: Asked, rng: np.random.Generator) -> Array:
    """0 for the first part of each sample, 1 for the rest."""
    return 1 - _mask(asked, rng).astype(np.int64)


def _pictures(asked: Asked, rng: np.random.Generator) -> Array:
    shape = asked.shape
    first = 2 if len(shape) != 4 or shape[1] in (1, 3, 4) else 1
    coarse = rng.uniform(-2, 2, [COARSE if axis in (first, first + 1) else size for axis, size in enumerate(shape)])
    for axis in (first, first + 1):
        coarse = np.take(coarse, np.arange(shape[axis]) * COARSE // shape[axis], axis)
    return coarse + SPECKLE * rng.standard_normal(shape)


def _picture(asked: Asked) -> bool:
    shape = asked.shape
    return len(shape) == 4 and (shape[1] in (1, 3) or shape[3] in (1, 3)) and min(sorted(shape[1:])[1:]) >= COARSE


def _length(port: Port, ports: tuple[Port, ...], shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Size of the sequence that a length speaks of: of the input with the most alike name, its first free axis after the samples."""
    others = [other for other in ports if other.name != port.name and len(shapes[other.name]) > 1]
    if not others:
        return 1
    alike = max(others, key=lambda other: (_common(other.name, port.name), len(shapes[other.name])))
    shape = shapes[alike.name]
    declared = (alike.shape or ())[-len(shape) + 1 :]
    free = [size for size, dim in zip(shape[1:], declared, strict=True) if isinstance(dim, str)]
    return (free or shape[1:])[0]


def _common(first: str, second: str) -> int:
    return next((n for n, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second)))


def _is_number(asked: Asked) -> bool:
    return np.dtype(asked.port.dtype).kind != "b"


def _is_float(asked: Asked) -> bool:
    return np.dtype(asked.port.dtype).kind == "f"


KINDS: tuple[tuple[str, re.Pattern[str], Callable[[Asked], bool], Maker], ...] = (
    ("1 with 0 for padding", re.compile("mask", re.IGNORECASE), lambda asked: True, _mask),
    ("segments 0 and 1", re.compile("token_?type|segment", re.IGNORECASE), lambda asked: asked.integer, _segments),
    ("positions in order", re.compile("position|pos_ids", re.IGNORECASE), lambda asked: asked.integer, _positions),
    ("lengths up to the sequence", re.compile(r"length|(^|_)lens?($|_)", re.IGNORECASE), lambda asked: asked.integer, _lengths),
    (
        "steps below 1000",
        re.compile("time_?step", re.IGNORECASE),
        _is_number,
        lambda asked, rng: rng.integers(0, STEPS, asked.shape[:1]).reshape(-1, *[1] * (len(asked.shape) - 1)) * np.ones(asked.shape),
    ),
    (
        "audio of a tenth of full scale",
        re.compile("wav|audio", re.IGNORECASE),
        lambda a: _is_float(a) and len(a.shape) < 3,
        lambda a, r: 0.1 * r.standard_normal(a.shape),
    ),
)
