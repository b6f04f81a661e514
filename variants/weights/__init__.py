"""Trained weights as safetensors, each beside its sha256, loaded without pickle."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import UserError

if TYPE_CHECKING:
    import torch

FOLDER = Path(__file__).parent


def load_into(module: torch.nn.Module, path: Path, remedy: str) -> None:
    """Load `path` into `module`, strictly; `remedy` is the command that makes the file anew.

    Raises UserError naming the file when it is missing, truncated, altered (its bytes are held against the
    sha256 beside it) or made for another network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    mend = f"restore it (git checkout -- variants/weights) or make it anew: {remedy}"
    try:
        content = path.read_bytes()
        expected = path.with_suffix(".sha256").read_text().split()[0]
    except (OSError, IndexError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: the weights or their .sha256 cannot be read ({error}); {mend}") from error
    if hashlib.sha256(content).hexdigest() != expected:
        raise UserError(f"{path}: truncated or altered, its sha256 is not the one beside it; {mend}")
    try:
        module.load_state_dict(load(content))
    except SafetensorError as error:
        raise UserError(f"{path}: not a safetensors file ({error}); {mend}") from error
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: does not fit the network ({reason[:160]}); {mend}") from error


def write_digest(path: Path) -> None:
    """Write the .sha256 file beside `path`, in the format of sha256sum."""
    path.with_suffix(".sha256").write_text(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n")
