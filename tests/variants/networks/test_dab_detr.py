"""DAB-DETR is the published model, its queries tell something, and a checkpoint folder works or is refused in a sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

pytest.importorskip("transformers")

from safetensors.torch import save_file

from common.errors import UserError
from variants import seeded
from variants.data import photographs
from variants.models import dab_detr_r50 as family
from variants.networks import dab_detr
from variants.networks.dab_detr import FULL, TINY, DabDetr, config, seeded_dab_detr

PAPER_PARAMETERS = 44e6
"""arXiv 2201.12329, table 2, DAB-DETR-R50."""


def images(count: int = 2) -> list[torch.Tensor]:
    if reason := photographs.unavailable():
        pytest.skip(reason)
    return [torch.from_numpy(array) for array in family.inputs(count, 96, 128, "test").values()]


@pytest.fixture(scope="module")
def tiny() -> DabDetr:
    """Not to be changed."""
    return seeded_dab_detr(TINY)


def test_the_full_model_has_the_papers_size() -> None:
    with torch.device("meta"):
        model = DabDetr(config(FULL))
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(PAPER_PARAMETERS, rel=0.03)
    assert (len(model.model.encoder.layers), len(model.model.decoder.layers)) == (6, 6)
    assert model.model.query_refpoint_embeddings.weight.shape == (300, 4)


def test_each_decoder_layer_refines_the_anchors_of_the_one_before(tiny: DabDetr) -> None:
    moves: list[torch.Tensor] = []
    hook = tiny.model.decoder.bbox_embed.register_forward_hook(lambda _, given, out: moves.append(out.clone()))
    with torch.no_grad():
        _, boxes = tiny(*images())
    hook.remove()
    anchors = tiny.model.query_refpoint_embeddings.weight.detach()
    assert len(moves) == TINY.layers
    torch.testing.assert_close(boxes.logit(), (anchors + sum(moves[:-1]) + moves[-1]).expand_as(boxes), atol=0.2, rtol=0)
    assert (boxes - anchors.sigmoid()).abs().max() > 0.01


def test_every_block_keeps_its_activations_in_a_trained_models_range(tiny: DabDetr) -> None:
    found: dict[str, float] = {}

    def note(name: str, out: torch.Tensor | tuple[torch.Tensor, ...]) -> None:
        found[name] = float((out[0] if isinstance(out, tuple) else out).std())

    kinds = {"ResNetBottleNeckLayer", "DabDetrEncoderLayer", "DabDetrDecoderLayer"}
    blocks = [(name, part) for name, part in tiny.named_modules() if type(part).__name__ in kinds]
    hooks = [part.register_forward_hook(lambda _, given, out, name=name: note(name, out)) for name, part in blocks]
    with torch.no_grad():
        tiny(*images())
    for hook in hooks:
        hook.remove()
    assert len(found) == sum(TINY.blocks) + 2 * TINY.layers
    assert {name: std for name, std in found.items() if not 0.1 <= std <= 30} == {}


def test_the_backbone_s_statistics_are_those_of_what_it_meets(tiny: DabDetr) -> None:
    """Seeded ones would leave a mean to each channel that drowns what the image says, and all positions would look alike."""
    backbone, seen = tiny.model.backbone, dict[str, torch.Tensor]()
    norms = {name: part for name, part in backbone.named_modules() if hasattr(part, "running_var")}
    hooks = [part.register_forward_hook(lambda _, given, out, name=name: seen.update({name: out.clone()})) for name, part in norms.items()]
    with torch.no_grad():
        backbone(seeded.smooth_noise(0), torch.ones(2, 128, 128))
    for hook in hooks:
        hook.remove()
    for name, part in norms.items():
        torch.testing.assert_close(seen[name].mean(dim=(0, 2, 3)), part.bias, atol=0.02, rtol=0)
        torch.testing.assert_close(seen[name].std(dim=(0, 2, 3)), part.weight.abs(), atol=0.02, rtol=0.02)


def test_queries_and_images_differ_so_that_a_metric_can_tell_something(tiny: DabDetr) -> None:
    with torch.no_grad():
        logits, boxes = tiny(*images(8))
    assert len(logits.argmax(-1).unique()) >= 3
    assert logits.std(dim=1).mean() > 0.2, "between the queries of an image"
    assert logits.std(dim=0).mean() > 0.2, "between images"
    assert boxes.std(dim=1).min() > 0.05


def test_where_the_image_ends_matters(tiny: DabDetr) -> None:
    pixels, mask = images(2)
    with torch.no_grad():
        padded, whole = tiny(pixels, mask)[0], tiny(pixels, torch.ones_like(mask))[0]
    torch.testing.assert_close(padded[0], whole[0])
    assert (padded[1] - whole[1]).abs().max() > 0.1


def test_a_seed_always_gives_the_same_weights(tiny: DabDetr) -> None:
    again = seeded_dab_detr(TINY).state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in tiny.state_dict().items())


def test_a_folder_of_transformers_is_restored_whatever_its_size(tiny: DabDetr, tmp_path: Path) -> None:
    tiny.save_pretrained(tmp_path)
    restored = family.restore("FULL", tmp_path)
    with torch.no_grad():
        assert torch.equal(restored(*images())[0], tiny(*images())[0])


def test_a_file_of_weights_is_restored_into_the_size_that_was_asked_for(tmp_path: Path) -> None:
    given = seeded_dab_detr(TINY, seed=7)
    save_file({name: tensor.clone() for name, tensor in given.state_dict().items()}, tmp_path / "weights.safetensors")
    restored = family.restore("TINY", tmp_path / "weights.safetensors")
    assert all(torch.equal(tensor, given.state_dict()[name]) for name, tensor in restored.state_dict().items())


def test_a_folder_whose_weights_are_of_other_shapes_is_refused_with_both(tiny: DabDetr, tmp_path: Path) -> None:
    tiny.save_pretrained(tmp_path)
    altered(tmp_path, num_queries=11)
    with pytest.raises(UserError, match=r"does not fit the network: 1 misshapen \(.*query_refpoint.* is \[30, 4\], here \[11, 4\]\)"):
        dab_detr.restored(tmp_path)


def test_a_folder_with_too_few_weights_is_refused_with_their_names(tiny: DabDetr, tmp_path: Path) -> None:
    tiny.save_pretrained(tmp_path)
    altered(tmp_path, encoder_layers=TINY.layers + 1)
    with pytest.raises(UserError, match=r"17 missing \(model\.encoder\.layers\.2\."):
        dab_detr.restored(tmp_path)


def test_a_folder_that_is_no_checkpoint_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"not a DAB-DETR checkpoint that loads here \(.*\); save one with save_pretrained"):
        dab_detr.restored(tmp_path)


def altered(folder: Path, **changes: int) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
