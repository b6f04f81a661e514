"""Weights that the user gives in place of a variant's own: a safetensors or PyTorch file, or a folder that holds one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.discover import Declared
from common.errors import UserError
from variants.variant import Variant

if TYPE_CHECKING:
    import torch

SAFETENSORS, PICKLED = (".safetensors",), (".pt", ".pth", ".bin")
NESTED = ("state_dict", "model_state_dict", "model")
"""Under which trainers keep the weights beside their optimiser's state."""
SHOWN = 3


def replaced(declared: Declared[Variant], checkpoints: Mapping[str, Path]) -> Declared[Variant]:
    """The variant with the weights that `checkpoints` (full name -> path) gives for it; another export of it has the same."""
    found, variant = given(declared.name, checkpoints), declared.value
    if found is None:
        return declared
    path = found

    def module() -> torch.nn.Module:
        if variant.restore is not None:
            return variant.restore(path).eval()
        made = variant.module()
        load_into(made, path)
        return made.eval()

    return replace(declared, value=replace(variant, module=module, files=(*variant.files, *files(path))))


def given(variant: str, checkpoints: Mapping[str, Path]) -> Path | None:
    """The checkpoint that was given for `variant`, None where none was."""
    return next((path for name, path in checkpoints.items() if belongs(variant, name)), None)


def belongs(variant: str, name: str) -> bool:
    """Whether `variant` is the model `name`, however it is exported: vit:base:opset17 is vit:base."""
    return f"{variant}:".startswith(f"{name}:")


def files(path: Path) -> tuple[Path, ...]:
    """The files of a checkpoint that make the model, in name order. Raises UserError when there are none."""
    return (*weights(path), *(file for file in _listed(path) if file.suffix == ".json"))


def weights(path: Path) -> tuple[Path, ...]:
    """The files of a checkpoint that hold tensors; of a folder with both kinds, those that are no pickle."""
    held = [file for file in _listed(path) if file.suffix in (*SAFETENSORS, *PICKLED)]
    if not held:
        raise UserError(f"{path}: no checkpoint; give a {', '.join((*SAFETENSORS, *PICKLED))} file or a folder that holds one")
    return tuple(file for file in held if file.suffix in SAFETENSORS) or tuple(held)


def _listed(path: Path) -> list[Path]:
    return sorted(path.iterdir()) if path.is_dir() else [path] if path.is_file() else []


def load_into(module: torch.nn.Module, path: Path, named: Callable[[str], str] = str) -> None:
    """Load the weights in `path` into `module`; nothing in the file is executed.

    `named` gives the module's name of a weight for the checkpoint's, "" for one that is left out. Raises UserError when it
    cannot be read or its names or shapes are not the module's.
    """
    given = {mine: tensor for file in weights(path) for name, tensor in read(file).items() if (mine := named(name))}
    own = module.state_dict()
    refuse_difference(path, missing=own.keys() - given.keys(), unexpected=given.keys() - own.keys())
    shapes = [f"{name} is {list(given[name].shape)}, here {list(own[name].shape)}" for name in own if given[name].shape != own[name].shape]
    refuse_difference(path, misshapen=shapes)
    module.load_state_dict(given)


def refuse_difference(path: Path, **found: Any) -> None:
    """Raises UserError when any of `found`, named by what is wrong with them, has entries."""
    kinds = [f"{len(names)} {kind} ({_some(names)})" for kind, names in found.items() if names]
    if kinds:
        raise UserError(f"{path}: does not fit the network: {'; '.join(kinds)}; give a checkpoint of this model and size")


def _some(names: Any) -> str:
    first = sorted(str(name) for name in names)[:SHOWN]
    return ", ".join(first) + (", ..." if len(names) > SHOWN else "")


def read(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of one file by name. Raises UserError when it is damaged or holds anything else."""
    import torch
    from safetensors.torch import load_file

    try:
        if path.suffix in SAFETENSORS:
            return dict(load_file(path))
        # weights_only: unpickling anything else could run code.
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # safetensors, zip and pickle errors share no base
        reason = " ".join(str(error).split())[:120]
        raise UserError(f"{path}: not a checkpoint of tensors alone, or damaged ({reason}); save a state dict") from error
    while isinstance(content, dict) and (key := next((key for key in NESTED if isinstance(content.get(key), dict)), "")):
        content = content[key]
    if not isinstance(content, dict) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise UserError(f"{path}: holds no state dict; save model.state_dict()")
    return content
