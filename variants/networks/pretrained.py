"""Models of the transformers library as networks of the matrix: positional inputs, one output, seeded or restored weights."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from common.errors import UserError
from variants.checkpoint import read, refuse_difference, weights
from variants.seeded import fill

SIZES = (
    *("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size"),
    *("max_position_embeddings", "image_size", "patch_size", "num_channels"),
)
"""What of a checkpoint's config.json must be the variant's own; the rest (epsilon, activation, labels) is the checkpoint's."""


class Positional(nn.Module):
    """`model` called with its inputs in the order of `names`; answers with the part `output` of its result."""

    def __init__(self, model: nn.Module, names: Sequence[str], output: str) -> None:
        super().__init__()
        self.model = model
        self.names, self.output = tuple(names), output

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Tensors in, one tensor out, shapes as the model's own documentation says."""
        found: torch.Tensor = getattr(self.model(**dict(zip(self.names, inputs, strict=True))), self.output)
        return found


def seeded(kind: Any, config: Any, seed: int, gains: Mapping[str, float]) -> nn.Module:
    """A `kind` of `config` with seeded weights (variants/seeded.py); `gains` multiply the products whose path ends so.

    Attention is "eager": its matrix products and softmax stay nodes of the export. Embeddings and other bare parameters have
    the standard deviation 1 / sqrt(width), as trained BERT's (0.04 at 768), so that logits of a tied decoder differ by about 1.
    """
    config._attn_implementation = "eager"
    with torch.random.fork_rng(devices=[]):
        model: nn.Module = kind(config)
    fill(model, seed, lambda name, _: next((gain for end, gain in gains.items() if name.endswith(end)), 1.0))
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for part in model.modules():
            own = [*part.parameters(recurse=False)] if _bare(part) else []
            for parameter in own:
                parameter.normal_(0, config.hidden_size**-0.5, generator=generator)
    return model.eval()


def _bare(part: nn.Module) -> bool:
    return not isinstance(part, nn.Linear | nn.Conv2d | nn.LayerNorm)


def restored(kind: Any, config: Any, path: Path, spare: Sequence[str] = ()) -> nn.Module:
    """A `kind` with the weights in `path`: a file, or a folder as `save_pretrained` writes it; nothing of it is executed.

    `spare` are the beginnings of names that a checkpoint for more tasks may hold as well. Raises UserError when sizes,
    names or shapes are not those of `config`.
    """
    from transformers import logging

    config = _configured(kind, config, path)
    config._attn_implementation = "eager"
    state = {name: tensor for file in weights(path) for name, tensor in read(file).items()}
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        model, report = kind.from_pretrained(None, config=config, state_dict=state, output_loading_info=True, ignore_mismatched_sizes=True)
    finally:
        logging.set_verbosity(verbosity)
    unexpected = [name for name in report["unexpected_keys"] if not name.startswith(tuple(spare))]
    shapes = [f"{name} is {list(given)}, here {list(own)}" for name, given, own in report["mismatched_keys"]]
    refuse_difference(path, missing=report["missing_keys"], unexpected=unexpected, misshapen=shapes)
    found: nn.Module = model.eval()
    return found


def _configured(kind: Any, config: Any, path: Path) -> Any:
    """The configuration in the checkpoint's folder, `config` where there is none."""
    file = path / "config.json"
    if not file.is_file():
        return config
    try:
        given = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: cannot be read ({error}); restore the checkpoint") from error
    own = config.to_dict()
    wrong = [f"{name} is {given[name]}, here {own[name]}" for name in SIZES if name in given and given[name] != own.get(name)]
    if wrong:
        raise UserError(f"{path}: made for another size: {', '.join(wrong)}; choose the size that fits, or another checkpoint")
    return kind.config_class(**given)
