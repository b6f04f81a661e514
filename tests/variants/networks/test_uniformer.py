"""UniFormer is the paper's: as large, local where it says local, global where it says global, with weights that do something."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from variants.data import photographs
from variants.models import uniformer_s as family
from variants.networks.uniformer import GlobalBlock, LocalBlock, UniFormer, UniFormerConfig, seeded_uniformer

PAPER_PARAMETERS, PAPER_MULTIPLY_ADDS, PAPER_TOLERANCE = 22e6, 3.6e9, 0.03
TINY = UniFormerConfig((1, 1, 1, 1), (16, 32, 64, 96), head_width=32, classes=10)


def crops(side: int, count: int = 2) -> torch.Tensor:
    if reason := photographs.unavailable():
        pytest.skip(reason)
    return torch.from_numpy(photographs.crops("test", count, side, side))


@pytest.fixture(scope="module")
def small() -> nn.Module:
    """Size small as offered; not to be changed."""
    return family.uniformer_s.sizes["small"]().module()


@torch.no_grad()
def outputs(model: nn.Module, images: torch.Tensor, part: str) -> torch.Tensor:
    """What the part called `part` puts out."""
    found: list[torch.Tensor] = []
    hook = model.get_submodule(part).register_forward_hook(lambda _, given, out: found.append(out))
    model(images)
    hook.remove()
    return found[0]


def test_the_small_model_has_the_papers_parameters_and_multiply_adds() -> None:
    with torch.device("meta"):
        model = UniFormer(UniFormerConfig()).eval()
        with FlopCounterMode(display=False) as counter:
            model(torch.empty(1, 3, 224, 224))
    parameters, multiply_adds = sum(p.numel() for p in model.parameters()), counter.get_total_flops() / 2
    assert parameters == pytest.approx(PAPER_PARAMETERS, rel=PAPER_TOLERANCE)
    assert multiply_adds == pytest.approx(PAPER_MULTIPLY_ADDS, rel=PAPER_TOLERANCE)


def test_the_small_size_is_the_paper_s_and_the_tiny_one_has_less_than_five_megabytes(small: nn.Module) -> None:
    tiny = family.uniformer_s.sizes["tiny"]().module()
    assert sum(p.numel() for p in small.parameters()) == pytest.approx(PAPER_PARAMETERS, rel=PAPER_TOLERANCE)
    assert 4 * sum(p.numel() for p in tiny.parameters()) <= 5_000_000


def test_a_published_checkpoint_fits_by_its_names() -> None:
    """Names and shapes as the authors' own module gives them, one of each kind."""
    with torch.device("meta"):
        shapes = {name: tuple(tensor.shape) for name, tensor in UniFormer(UniFormerConfig()).state_dict().items()}
    expected = {
        "patch_embed1.proj.weight": (64, 3, 4, 4),
        "patch_embed4.norm.bias": (512,),
        "blocks1.2.pos_embed.weight": (64, 1, 3, 3),
        "blocks2.3.attn.weight": (128, 1, 5, 5),
        "blocks2.0.mlp.fc1.weight": (512, 128, 1, 1),
        "blocks3.7.attn.qkv.bias": (960,),
        "blocks4.2.mlp.fc2.weight": (512, 2048),
        "norm.running_var": (512,),
        "head.weight": (1000, 512),
    }
    assert {name: shapes.get(name) for name in expected} == expected


@pytest.mark.parametrize("size", ["tiny", "small"])
def test_every_block_keeps_its_activations_in_a_trained_models_range(size: str, small: nn.Module) -> None:
    model, found = small if size == "small" else seeded_uniformer(TINY), dict[str, float]()
    parts = [(name, part) for name, part in model.named_modules() if isinstance(part, LocalBlock | GlobalBlock) or name in ("norm", "head")]
    hooks = [part.register_forward_hook(lambda _, given, out, name=name: found.update({name: float(out.std())})) for name, part in parts]
    with torch.no_grad():
        model(crops(96))
    for hook in hooks:
        hook.remove()
    assert len(found) == {"tiny": 4, "small": 18}[size] + 2
    assert {name: std for name, std in found.items() if not 0.1 <= std <= 30} == {}


@pytest.mark.parametrize(("block", "reach"), [(LocalBlock(8), 3), (GlobalBlock(8, 2), 7)], ids=["local", "global"])
def test_a_local_block_sees_three_positions_away_by_its_3x3_and_5x5_and_a_global_one_all(block: nn.Module, reach: int) -> None:
    before = torch.randn(1, 8, 15, 15, generator=torch.Generator().manual_seed(0))
    after = before.clone()
    after[..., 7, 7] += 1
    with torch.no_grad():
        changed = (block.eval()(before) != block(after)).any(dim=1)[0].nonzero() - 7
    assert changed.abs().max() == reach


@pytest.mark.parametrize(("part", "reaches"), [("blocks1.0", False), ("blocks2.0", False), ("blocks3.0", True), ("blocks4.0", True)])
def test_the_first_two_stages_look_around_and_the_others_look_everywhere(part: str, reaches: bool) -> None:
    model, images = seeded_uniformer(TINY), torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    other = images.clone()
    other[..., 96:, 96:] += 1
    corner = [outputs(model, given, part)[0, :, 0, 0] for given in (images, other)]
    assert torch.equal(*corner) is not reaches


@pytest.mark.parametrize("name", ["blocks1.0.norm1", "blocks2.0.norm2", "norm"])
def test_a_batch_normalisation_that_is_lost_shows(name: str) -> None:
    model, images = seeded_uniformer(TINY), crops(64)
    whole = outputs(model, images, "head")
    model.set_submodule(name, nn.Identity())
    assert (outputs(model, images, "head") - whole).abs().max() > 0.05 * whole.std()


def test_a_seed_always_gives_the_same_weights_and_another_seed_others() -> None:
    first, again, other = (seeded_uniformer(TINY, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first if tensor_is_seeded(name))


def tensor_is_seeded(name: str) -> bool:
    return not name.endswith("num_batches_tracked")
