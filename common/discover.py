"""The folder registers: one file in a room declares one thing under the file's own name."""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Generic, TypeVar

from common.errors import UserError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Declared(Generic[T]):
    """One declared thing: `name` is its file's stem, `label` its first docstring line, `digest` the sha256 of its source."""

    name: str
    label: str
    digest: str
    value: T


@cache
def discover(package: str, kind: type[T]) -> Mapping[str, Declared[T]]:
    """Every module of `package` that does not start with an underscore, in name order.

    Raises UserError when a module cannot be imported or does not define a `kind` named like itself.
    """
    folder = importlib.import_module(package)
    found = {
        module.name: _declared(f"{package}.{module.name}", kind)
        for module in pkgutil.iter_modules(folder.__path__)
        if not module.name.startswith("_")
    }
    return MappingProxyType(dict(sorted(found.items())))


def _declared(module_name: str, kind: type[T]) -> Declared[T]:
    name = module_name.rsplit(".", 1)[1]
    file = module_name.replace(".", "/") + ".py"
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise UserError(f"{file}: cannot be imported ({type(error).__name__}: {error}): mend the file or remove it") from error
    value = getattr(module, name, None)
    if not isinstance(value, kind):
        raise UserError(f"{file}: define a {kind.__name__} called '{name}'")
    if not (module.__doc__ or "").strip():
        raise UserError(f"{file}: begin with a docstring; its first line is the label in the report")
    source = Path(str(module.__file__)).read_bytes()
    return Declared(name, str(module.__doc__).strip().splitlines()[0], hashlib.sha256(source).hexdigest(), value)
