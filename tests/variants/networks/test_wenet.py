"""WeNet's parts compute what the papers say: masks hide, positions are relative, hypotheses do not look ahead."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from variants import transcripts
from variants.data import speech
from variants.models import _wenet
from variants.networks import wenet_seed
from variants.networks.wenet import WenetConfig, WenetDecoder, WenetEncoder
from variants.networks.wenet_layers import Convolution, PositionAttention, Positions, shift

SMALL = WenetConfig(width=32, heads=4, hidden=48, blocks=2, vocabulary=60, positions=64, decoder_blocks=2, beam=3)
FORMS = {
    "relative": SMALL,
    "key": replace(SMALL, position="key"),
    "layer norm": replace(SMALL, norm="layer"),
    "transformer": replace(SMALL, block="transformer", position="absolute"),
}
every_form = pytest.mark.parametrize("form", FORMS)


def encoder(config: WenetConfig = SMALL) -> WenetEncoder:
    made = WenetEncoder(config)
    wenet_seed.seed(made, config.blocks, 1)
    return made.eval()


def decoder(config: WenetConfig = SMALL) -> WenetDecoder:
    made = WenetDecoder(config)
    wenet_seed.seed(made, config.decoder_blocks, 1)
    return made.eval()


def features(rows: int = 2, frames: int = 60, seed: int = 0) -> Tensor:
    return torch.randn(rows, frames, 80, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def run(model: nn.Module, *given: Tensor) -> tuple[Tensor, ...]:
    found: tuple[Tensor, ...] = model(*given)
    return found


@every_form
def test_changing_padded_frames_changes_nothing_that_is_read(form: str) -> None:
    model, given, lengths = encoder(FORMS[form]), features(), torch.tensor([60, 35], dtype=torch.int32)
    other = given.clone()
    other[1, 35:] = 100.0
    for before, after in zip(run(model, given, lengths), run(model, other, lengths), strict=True):
        kept = before[1, :8] if before.dim() > 1 else before
        assert torch.equal(kept, after[1, :8] if after.dim() > 1 else after)
    assert torch.equal(run(model, given, lengths)[0][0], run(model, other, lengths)[0][0])


@every_form
def test_changing_a_frame_that_is_speech_reaches_every_state(form: str) -> None:
    model, given, lengths = encoder(FORMS[form]), features(), torch.tensor([60, 35], dtype=torch.int32)
    other = given.clone()
    other[1, 20] += 1.0
    before, after = run(model, given, lengths)[0][1, :8], run(model, other, lengths)[0][1, :8]
    assert (before - after).abs().amax(-1).min() > 0


@pytest.mark.parametrize("frames", [7, 8, 10, 11, 34, 35, 60])
def test_the_length_of_the_states_is_that_of_an_utterance_which_comes_alone(frames: int) -> None:
    """Two convolutions without padding: ((frames - 1) // 2 - 1) // 2."""
    model = encoder()
    states, lengths, *_ = run(model, features(), torch.tensor([60, frames], dtype=torch.int32))
    alone = run(model, features()[1:, :frames], torch.tensor([frames], dtype=torch.int32))[0]
    assert lengths.dtype == torch.int32
    assert lengths.tolist() == [states.shape[1], alone.shape[1]] == [14, ((frames - 1) // 2 - 1) // 2]


def test_lengths_may_be_int32_or_int64() -> None:
    model = encoder()
    found = [run(model, features(), torch.tensor([60, 41], dtype=dtype)) for dtype in (torch.int32, torch.int64)]
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_a_transformer_gives_an_utterance_the_same_states_with_and_without_padding() -> None:
    model = encoder(FORMS["transformer"])
    padded = run(model, features(), torch.tensor([60, 35], dtype=torch.int32))[0][1, :8]
    alone = run(model, features()[1:, :35], torch.tensor([35], dtype=torch.int32))[0][0]
    torch.testing.assert_close(padded, alone, rtol=1e-4, atol=1e-5)


def test_the_beam_is_the_best_of_the_log_probabilities() -> None:
    _, _, log_probs, best, tokens = run(encoder(), features(), torch.tensor([60, 60], dtype=torch.int32))
    torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(log_probs.shape[:2]))
    assert torch.equal(log_probs.gather(2, tokens), best)
    assert torch.equal(best[..., 0], log_probs.amax(-1))


def test_the_shift_puts_the_score_of_offset_i_minus_j_at_query_i_and_key_j() -> None:
    time = 5
    offsets = torch.arange(time - 1, -time, -1).float().expand(1, 1, time, 2 * time - 1)
    expected = torch.arange(time)[:, None] - torch.arange(time)[None, :]
    assert torch.equal(shift(offsets)[0, 0], expected.float())


def brute_force(layer: PositionAttention, x: Tensor, row: Tensor) -> Tensor:
    """Attention of one utterance, pair by pair; row(i, j) is the encoded position of a pair."""
    heads, size, time = layer.heads, layer.size, len(x)
    q, k, v = ((part(x)).view(time, heads, size) for part in (layer.linear_q, layer.linear_k, layer.linear_v))
    out = torch.zeros(time, heads, size)
    for head in range(heads):
        for i in range(time):
            scores = torch.stack(
                [
                    (q[i, head] + layer.pos_bias_u[head]) @ k[j, head]
                    + (q[i, head] + layer.pos_bias_v[head]) @ layer.linear_pos(row[i, j]).view(heads, size)[head]
                    for j in range(time)
                ]
            )
            out[i, head] = (scores / size**0.5).softmax(0) @ v[:, head]
    return layer.linear_out(out.view(time, heads * size))  # type: ignore[no-any-return]


def encoded(place: int, width: int) -> list[float]:
    """The sinusoids of arXiv 1706.03762, 3.5, one by one."""
    return [(np.sin if column % 2 == 0 else np.cos)(place / 10_000 ** ((column - column % 2) / width)) for column in range(width)]


@torch.no_grad()
@pytest.mark.parametrize("kind", ["relative", "key"])
def test_attention_with_positions_is_what_it_is_pair_by_pair(kind: str) -> None:
    time, width = 6, 16
    layer = PositionAttention(width, 2, kind)  # type: ignore[arg-type]
    wenet_seed.seed(layer, 1, 3)
    _, rows = Positions(width, kind, 32)(torch.zeros(1, time, width))  # type: ignore[arg-type]
    x = torch.randn(1, time, width, generator=torch.Generator().manual_seed(1))
    places = [[encoded(i - j if kind == "relative" else j, width) for j in range(time)] for i in range(time)]
    found = layer(x, rows, torch.ones(1, 1, time, dtype=torch.bool))[0]
    torch.testing.assert_close(found, brute_force(layer, x[0], torch.tensor(places, dtype=torch.float32)), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_padding_reaches_no_neighbour_through_the_convolution() -> None:
    layer = Convolution(8, 15, "batch", 1e-5).eval()
    x, mask = torch.randn(1, 12, 8, generator=torch.Generator().manual_seed(1)), torch.arange(12).view(1, 1, 12) < 7
    other = x.clone()
    other[:, 7:] = 50.0
    assert torch.equal(layer(x, mask), layer(other, mask))
    assert not layer(x, mask)[:, 7:].any()


def spoken(lengths: list[int], tokens: int = 9) -> tuple[Tensor, ...]:
    draw = torch.Generator().manual_seed(5)
    states = torch.randn(1, 11, SMALL.width, generator=draw)
    hypotheses = torch.randint(1, SMALL.eos, (1, SMALL.beam, tokens), generator=draw)
    hypotheses[..., 0] = SMALL.eos
    for row, length in zip(hypotheses[0], lengths, strict=True):
        row[length:] = SMALL.eos
    return states, torch.tensor([11], dtype=torch.int32), hypotheses, torch.tensor([lengths], dtype=torch.int32), torch.zeros(1, SMALL.beam)


def test_a_token_changes_only_what_comes_after_it() -> None:
    model, given = decoder(), spoken([9, 9, 9])
    other = given[2].clone()
    other[0, 1, 4] = (other[0, 1, 4] + 1) % SMALL.eos
    before, after = run(model, *given)[0], run(model, *given[:2], other, *given[3:])[0]
    torch.testing.assert_close(before[0, 1, :4], after[0, 1, :4])
    assert (before[0, 1, 4:] - after[0, 1, 4:]).abs().amax(-1).min() > 1e-4
    torch.testing.assert_close(before[0, [0, 2]], after[0, [0, 2]])


def test_a_score_is_the_sum_of_its_tokens_and_the_end_and_the_weighed_score_of_the_ctc() -> None:
    model, given = decoder(), spoken([9, 4, 2])
    ctc = torch.tensor([[-1.0, -2.0, -7.0]])
    log_probs, score, best = run(model, *given[:4], ctc)
    expected = [
        sum(log_probs[0, row, place, given[2][0, row, place + 1]] for place in range(min(int(length), 8))) + 0.5 * ctc[0, row]
        for row, length in enumerate(given[3][0])
    ]
    torch.testing.assert_close(score[0], torch.stack(expected))
    assert best.tolist() == [int(score.argmax())]


def test_states_behind_an_utterances_end_do_not_reach_the_decoder() -> None:
    model, given = decoder(), spoken([9, 9, 9])
    other = given[0].clone()
    other[:, 6:] = 9.0
    six = torch.tensor([6], dtype=torch.int32)
    assert torch.equal(run(model, given[0], six, *given[2:])[1], run(model, other, six, *given[2:])[1])
    assert not torch.equal(run(model, *given)[1], run(model, other, *given[1:])[1])


def test_positions_of_another_kind_than_the_blocks_take_are_refused() -> None:
    with pytest.raises(ValueError, match="transformer blocks take absolute positions"):
        WenetEncoder(replace(SMALL, block="transformer"))


def test_activations_of_every_block_and_the_transcripts_are_in_a_trained_models_range() -> None:
    """On the test utterances, which the fitted statistics and output have not seen."""
    model, heard = _wenet.encoder("tiny"), _wenet.utterances("test")
    deviations: list[float] = []
    for block in (*model.encoder.encoders, model.encoder.after_norm):
        block.register_forward_hook(lambda _module, _given, made: deviations.append(float(made.std())))
    _, lengths, log_probs, *_ = (t.numpy() for t in run(model, torch.from_numpy(heard.features), torch.from_numpy(heard.lengths)))
    assert len(deviations) == 3
    assert all(0.1 < deviation < 30 for deviation in deviations)
    heard_tokens = [transcripts.greedy(row, int(length)) for row, length in zip(log_probs, lengths, strict=True)]
    assert min(len(set(tokens)) for tokens in heard_tokens) >= 3
    assert len({token for tokens in heard_tokens for token in tokens}) >= 15
    assert 0.5 < np.exp(np.concatenate([row[:length].max(-1) for row, length in zip(log_probs, lengths, strict=True)])).mean() < 0.98
    assert len({tuple(tokens) for tokens in heard_tokens}) == len(heard_tokens)
    blank = np.concatenate([row[:length].argmax(-1) == 0 for row, length in zip(log_probs, lengths, strict=True)])
    assert 0.2 < blank.mean() < 0.8


def test_the_decoders_blocks_are_in_range_and_its_best_hypothesis_differs_between_utterances() -> None:
    model, given = _wenet.decoder("tiny"), _wenet.hypotheses("tiny", "test", 8)
    deviations: list[float] = []
    for block in model.decoder.decoders:
        block.register_forward_hook(lambda _module, _given, made: deviations.append(float(made.std())))
    _, score, best = run(model, *map(torch.from_numpy, given.values()))
    assert all(0.1 < deviation < 30 for deviation in deviations)
    assert len(set(best.tolist())) > 2
    assert score.std(1).min() > 0.5


def test_seeded_weights_are_the_same_every_time() -> None:
    first, second = _wenet.encoder("tiny").state_dict(), _wenet.encoder("tiny").state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_full_sizes_are_those_of_the_aishell_recipe() -> None:
    config = _wenet.config("full")
    assert (config.blocks, config.decoder_blocks, config.width, config.heads, config.hidden) == (12, 6, 256, 4, 2048)
    assert (config.kernel, config.vocabulary, config.positions, config.beam) == (15, 4233, 5000, 10)


def test_no_utterance_is_cut_and_all_are_padded_to_the_longest() -> None:
    heard = speech.load(2, 5, 2.0)
    assert heard.features.shape[1] == heard.lengths[0] == heard.lengths.max()
    for row, length in zip(heard.features, heard.lengths, strict=True):
        assert not row[length:].any()
        assert row[:length].std() > 1
