"""The user's own inputs and reference outputs, from .npz files, checked against what the model declares."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from common.errors import UserError
from variants.own.ports import Port, described
from variants.variant import Array


def load(path: Path, option: str) -> dict[str, Array]:
    """All arrays of the file by name; nothing pickled is read. Raises UserError naming the file and the option."""
    try:
        content = np.load(path, allow_pickle=False)
        if not isinstance(content, np.lib.npyio.NpzFile):
            raise UserError(f"{option} {path}: holds one array without a name; write it with numpy.savez(path, input_name=array)")
        with content as archive:
            return {name: archive[name] for name in archive.files}
    except OSError as error:
        raise UserError(f"{option} {path}: cannot be read ({error.strerror or error}); name an .npz file of numpy.savez") from error
    except (ValueError, EOFError, KeyError, AttributeError, zipfile.BadZipFile) as error:
        raise UserError(f"{option} {path}: is not an .npz file of plain arrays, or was truncated; write it with numpy.savez") from error


def matched(path: Path, arrays: Mapping[str, Array], ports: tuple[Port, ...], option: str) -> dict[str, Array]:
    """The arrays in the order of `ports`. Raises UserError for a missing or unknown name, or another element type."""
    names = [port.name for port in ports]
    if missing := [name for name in names if name not in arrays]:
        raise UserError(f"{option} {path}: has no '{missing[0]}'; the model wants {', '.join(names)}, the file holds {_list(arrays)}")
    if unknown := [name for name in arrays if name not in names]:
        raise UserError(f"{option} {path}: '{unknown[0]}' is none of the model's ({', '.join(names)}); leave it out or rename it")
    for port in ports:
        want, have = described(port.dtype), described(arrays[port.name].dtype)
        if want != have:
            raise UserError(f"{option} {path}: '{port.name}' is {have}, the model has {want}; save it with .astype('{want}')")
    return {name: np.asarray(arrays[name], order="C") for name in names}


def sizes(path: Path, arrays: Mapping[str, Array], ports: tuple[Port, ...], whole: bool, dims: Mapping[str, int]) -> dict[str, int]:
    """The sizes of the free dimensions that the arrays have; `whole`: axis 0 numbers the runs, and is not the model's.

    Raises UserError where an array does not fit its declared shape, another array, or `dims`.
    """
    found = dict(dims)
    source = dict.fromkeys(dims, "--dim")
    for port in ports:
        if port.shape is None:
            continue
        have = arrays[port.name].shape
        shape = ("runs", *port.shape) if whole else port.shape
        form = f"[{', '.join(map(str, shape))}]"
        if len(have) != len(shape):
            raise UserError(f"--inputs {path}: '{port.name}' is {list(have)}, the model wants {form}; give one axis for each")
        for size, dim in list(zip(have, shape, strict=True))[1:]:
            want = dim if isinstance(dim, int) else found.setdefault(dim, size)
            if size != want:
                by = f", and {source[str(dim)]} has {dim} {want}" if isinstance(dim, str) and str(dim) in source else ""
                raise UserError(f"--inputs {path}: '{port.name}' is {list(have)}, the model wants {form}{by}; give arrays that agree")
            if isinstance(dim, str):
                source.setdefault(dim, f"'{port.name}'")
    return found


def rows(path: Path, arrays: Mapping[str, Array], option: str, wanted: int = 0) -> int:
    """How many samples all arrays have. Raises UserError where they differ, are none, or are not the `wanted` number."""
    counts = {name: array.shape[0] if array.ndim else 0 for name, array in arrays.items()}
    (first, count), *others = counts.items()
    for name, other in others:
        if other != count:
            raise UserError(f"{option} {path}: '{first}' has {count} samples and '{name}' {other}; give as many of each")
    if not count:
        raise UserError(f"{option} {path}: '{first}' has no samples; its first axis counts them")
    if wanted and count != wanted:
        raise UserError(f"{option} {path}: has {count} samples where --inputs has {wanted}; give one output for each input")
    return count


def _list(arrays: Mapping[str, Array]) -> str:
    return ", ".join(sorted(arrays)) or "nothing"
