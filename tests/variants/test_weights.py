"""Weights that cannot be trusted are refused in one sentence that names the file and the remedy."""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from common.errors import UserError
from variants.weights import FOLDER, load_into, write_digest

REMEDY = "python -m variants.training.toy"


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """Weights of a network of two inputs and three outputs."""
    path = tmp_path / "toy.safetensors"
    save_file(nn.Linear(2, 3).state_dict(), path)
    write_digest(path)
    return path


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def flip_one_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def empty_digest(path: Path) -> None:
    path.with_suffix(".sha256").write_text("")


def binary_digest(path: Path) -> None:
    path.with_suffix(".sha256").write_bytes(b"\xff\xfe\x00")


def other_digest(path: Path) -> None:
    path.with_suffix(".sha256").write_text("0" * 64 + "  toy.safetensors\n")


def no_digest(path: Path) -> None:
    path.with_suffix(".sha256").unlink()


def not_safetensors(path: Path) -> None:
    path.write_bytes(b"<html>not found</html>")
    write_digest(path)


def other_network(path: Path) -> None:
    save_file(nn.Linear(5, 3).state_dict(), path)
    write_digest(path)


def other_names(path: Path) -> None:
    save_file({"elsewhere": torch.zeros(2)}, path)
    write_digest(path)


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "truncated": (truncate, "truncated or altered"),
    "one bit flipped": (flip_one_bit, "truncated or altered"),
    "emptied": (empty, "truncated or altered"),
    "missing": (Path.unlink, "No such file"),
    "digest missing": (no_digest, "No such file"),
    "digest empty": (empty_digest, "cannot be read"),
    "digest not text": (binary_digest, "cannot be read"),
    "digest of something else": (other_digest, "truncated or altered"),
    "not safetensors": (not_safetensors, "not a safetensors file"),
    "another network": (other_network, "does not fit the network.*size mismatch for weight"),
    "other tensors": (other_names, r"does not fit the network.*Missing key\(s\).*weight"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_weights_are_refused_by_name_with_the_remedy(kind: str, stored: Path) -> None:
    damage, reason = DAMAGE[kind]
    damage(stored)
    with pytest.raises(UserError, match=reason) as refused:
        load_into(nn.Linear(2, 3), stored, REMEDY)
    text = str(refused.value)
    assert text.startswith(str(stored))
    assert text.endswith(f"make it anew: {REMEDY}")
    assert "\n" not in text


def test_weights_arrive_as_they_were_stored(tmp_path: Path) -> None:
    source, target = nn.Linear(2, 3), nn.Linear(2, 3)
    path = tmp_path / "toy.safetensors"
    save_file(source.state_dict(), path)
    write_digest(path)
    load_into(target, path, REMEDY)
    assert torch.equal(source.weight, target.weight)
    assert torch.equal(source.bias, target.bias)


def test_weights_are_loaded_without_pickle(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("pickle was used")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    load_into(nn.Linear(2, 3), stored, REMEDY)


def test_a_pickle_under_the_name_of_weights_is_never_executed(stored: Path, tmp_path: Path) -> None:
    witness = tmp_path / "executed"

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (Path(witness),)  # type: ignore[return-value]

    buffer = io.BytesIO()
    torch.save({"weight": Trap()}, buffer)
    stored.write_bytes(buffer.getvalue())
    write_digest(stored)
    with pytest.raises(UserError, match="not a safetensors file"):
        load_into(nn.Linear(2, 3), stored, REMEDY)
    assert not witness.exists()


def test_a_digest_is_written_as_sha256sum_writes_it(stored: Path) -> None:
    digest = hashlib.sha256(stored.read_bytes()).hexdigest()
    assert stored.with_suffix(".sha256").read_text() == f"{digest}  toy.safetensors\n"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.safetensors")), ids=lambda path: path.stem)
def test_committed_weights_are_small_and_match_their_digest(path: Path) -> None:
    content = path.read_bytes()
    assert len(content) <= 3_000_000
    assert path.with_suffix(".sha256").read_text().split()[0] == hashlib.sha256(content).hexdigest()
