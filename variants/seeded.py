"""Weights where no trained ones can be had: seeded, and scaled so that activations stay in a trained model's range.

What keeps them there: every product has gain 1 (standard deviation 1 / sqrt(fan-in)), so attention scores differ by
about 1 as trained ones do and softmax is not flat; the caller scales the last product of each residual branch, by
1 / sqrt(branches of the whole model), so that the residual stream does not grow with depth (GPT-2's rule, section 2.3
of its paper). Nothing is left at what initialisers leave it: biases are small but not zero, normalisations not the
identity, and running statistics not (0, 1), so that a pass that drops one of them changes the outputs and is caught.
Each network's test measures the standard deviation of every block's output on real inputs and holds it in 0.1..30.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

BIAS_STD, SCALE_STD, MEAN_STD, VARIANCE = 0.02, 0.1, 0.2, (0.5, 1.5)


@torch.no_grad()
def fill(module: nn.Module, seed: int, gain: Callable[[str, nn.Module], float]) -> None:
    """Fill every Linear, convolution and normalisation of `module` in place, the same on every machine.

    `gain(name, part)` multiplies the weights of the product `part` called `name` (its dotted path). Batch
    normalisations are known by their running statistics, so frozen ones count. Other parameters are left alone.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, part in module.named_modules():
        if isinstance(part, nn.Linear | nn.Conv1d | nn.Conv2d):
            _product(part, gain(name, part), generator)
        elif isinstance(part, nn.LayerNorm) or hasattr(part, "running_var"):
            _normalisation(part, generator)


def _product(part: nn.Linear | nn.Conv1d | nn.Conv2d, gain: float, generator: torch.Generator) -> None:
    std = gain / part.weight[0].numel() ** 0.5
    part.weight.normal_(0, std, generator=generator).clamp_(-2 * std, 2 * std)
    if part.bias is not None:
        part.bias.normal_(0, BIAS_STD, generator=generator)


def _normalisation(part: nn.Module, generator: torch.Generator) -> None:
    tensors = {
        name: tensor for group in (part.named_parameters(recurse=False), part.named_buffers(recurse=False)) for name, tensor in group
    }
    tensors["weight"].normal_(1, SCALE_STD, generator=generator)
    tensors["bias"].normal_(0, BIAS_STD, generator=generator)
    if "running_var" in tensors:
        tensors["running_mean"].normal_(0, MEAN_STD, generator=generator)
        tensors["running_var"].uniform_(*VARIANCE, generator=generator)


def smooth_noise(seed: int) -> torch.Tensor:
    """Two random images, as smooth and as bright as normalised photographs: float32 [2, 3, 128, 128], about -4..4."""
    coarse = 2 * torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(seed))
    return nn.functional.interpolate(coarse, size=(128, 128), mode="bilinear")


@torch.no_grad()
def settle(module: nn.Module, example: tuple[torch.Tensor, ...]) -> None:
    """Set every batch normalisation's running statistics to what it meets on `example`, as training would leave them.

    Rounded to bfloat16, so that another machine's order of summation does not show.
    """

    def measure(part: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        variance, mean = torch.var_mean(inputs[0], dim=(0, 2, 3))
        part.get_buffer("running_mean").copy_(mean.bfloat16())
        part.get_buffer("running_var").copy_(variance.bfloat16())

    hooks = [part.register_forward_pre_hook(measure) for part in module.modules() if hasattr(part, "running_var")]
    module.eval()(*example)
    for hook in hooks:
        hook.remove()
