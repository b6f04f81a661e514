"""Weights given by the user: read without running anything, and only where names and shapes fit."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from common.discover import Declared
from common.errors import UserError
from variants.checkpoint import files, load_into, replaced
from variants.find import find


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))


def state(value: float = 1.0) -> dict[str, torch.Tensor]:
    return {name: torch.full_like(tensor, value) for name, tensor in network().state_dict().items()}


def refused(path: Path) -> str:
    with pytest.raises(UserError) as error:
        load_into(network(), path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("kind", ["safetensors", "pt", "nested", "folder"])
def test_every_form_of_a_checkpoint_is_loaded(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("model.safetensors" if kind in ("safetensors", "folder") else "model.pt")
    if kind in ("safetensors", "folder"):
        save_file(state(), path)
    else:
        torch.save({"state_dict": state(), "epoch": 3} if kind == "nested" else state(), path)
    loaded = network()
    load_into(loaded, tmp_path if kind == "folder" else path)
    assert all(bool((tensor == 1).all()) for tensor in loaded.state_dict().values())


def test_names_that_differ_are_told_both_ways(tmp_path: Path) -> None:
    renamed = {name.replace("1.", "9."): tensor for name, tensor in state().items()}
    save_file(renamed, tmp_path / "a.safetensors")
    said = refused(tmp_path / "a.safetensors")
    assert "2 missing (1.bias, 1.weight); 2 unexpected (9.bias, 9.weight)" in said


def test_shapes_that_differ_are_told(tmp_path: Path) -> None:
    save_file(state() | {"0.weight": torch.zeros(4, 5)}, tmp_path / "a.safetensors")
    assert "1 misshapen (0.weight is [4, 5], here [4, 3])" in refused(tmp_path / "a.safetensors")


class Harmful:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.trace,))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_code_inside_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    torch.save({"0.weight": Harmful(tmp_path / "ran")}, tmp_path / "a.pt")
    (tmp_path / "b.bin").write_bytes(pickle.dumps(Harmful(tmp_path / "ran")))
    for name in ("a.pt", "b.bin"):
        assert "not a checkpoint of tensors alone, or damaged" in refused(tmp_path / name)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["a.safetensors", "a.pt"])
def test_a_truncated_file_is_damaged(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    save_file(state(), path) if name.endswith("safetensors") else torch.save(state(), path)
    path.write_bytes(path.read_bytes()[:-50])
    assert "damaged" in refused(path)


def test_what_holds_no_weights_is_refused(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "list.pt")
    assert "holds no state dict" in refused(tmp_path / "list.pt")
    (tmp_path / "empty").mkdir()
    assert "no checkpoint; give a .safetensors, .pt" in refused(tmp_path / "empty")
    assert "no checkpoint" in refused(tmp_path / "nowhere.pt")


def test_a_checkpoint_belongs_to_its_size_however_that_is_exported(tmp_path: Path) -> None:
    save_file(state(), tmp_path / "a.safetensors")
    given = {"bert:base": tmp_path}
    assert (
        replaced(find("bert:tiny"), given) == find("bert:tiny")
        or replaced(find("bert:tiny"), given).value.files == find("bert").value.files
    )
    for name in ("bert:base", "bert:base:opset17:static"):
        assert set(files(tmp_path)) <= set(replaced(find(name), given).value.files)


def folder_of(name: str, folder: Path) -> Path:
    inner = find(name).value.module().model
    inner.save_pretrained(folder)  # type: ignore[operator, union-attr]
    return folder


def module_with(name: str, path: Path) -> nn.Module:
    declared: Declared[object] = replaced(find(name), {name: path})  # type: ignore[assignment]
    return declared.value.module()  # type: ignore[attr-defined, no-any-return]


def test_a_folder_as_transformers_writes_it_just_works(tmp_path: Path) -> None:
    folder = folder_of("bert:tiny", tmp_path / "bert")
    ids = torch.from_numpy(find("bert:tiny").value.inputs("test")["input_ids"])
    given = (ids, torch.ones_like(ids))
    original, again = find("bert:tiny").value.module(), module_with("bert:tiny", folder)
    with torch.no_grad():
        np.testing.assert_array_equal(again(*given).numpy(), original(*given).numpy())
    file = next(folder.glob("*.safetensors"))
    with torch.no_grad():
        np.testing.assert_array_equal(module_with("bert:tiny", file)(*given).numpy(), original(*given).numpy())


def test_a_folder_of_another_size_is_refused_with_what_differs(tmp_path: Path) -> None:
    folder = folder_of("bert:tiny", tmp_path / "bert")
    with pytest.raises(UserError, match=r"made for another size: hidden_size is 64, here 768, num_hidden_layers is 3, here 12"):
        module_with("bert:base", folder)


def test_a_folder_that_lacks_a_weight_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    folder = folder_of("vit:fashion", tmp_path / "vit")
    file = next(folder.glob("*.safetensors"))
    held = load_file(file)
    held["vit.layernorm.weights"] = held.pop("vit.layernorm.weight")
    save_file(held, file)
    with pytest.raises(UserError, match=r"1 missing \(vit.layernorm.weight\); 1 unexpected \(vit.layernorm.weights\)"):
        module_with("vit:fashion", folder)
