"""WeNet's speech encoder with its CTC output, and the decoder that scores its hypotheses (arXiv 2102.01547).

Sizes are those of the AISHELL recipe (examples/aishell/s0/conf/train_conformer.yaml of github.com/wenet-e2e/wenet); inputs
and outputs those of its export for GPUs (wenet/bin/export_onnx_gpu.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from variants.networks.wenet_layers import (
    Attention,
    Convolution,
    FeedForward,
    Position,
    PositionAttention,
    Positions,
    Subsampling,
    causal_mask,
    padding_mask,
)


@dataclass(frozen=True, slots=True)
class WenetConfig:
    """Sizes of one WeNet model; the defaults are the full ones. Transformer blocks take "absolute" positions."""

    bins: int = 80
    width: int = 256
    heads: int = 4
    hidden: int = 2048
    blocks: int = 12
    block: Literal["conformer", "transformer"] = "conformer"
    position: Position = "relative"
    positions: int = 5000
    kernel: int = 15
    norm: Literal["batch", "layer"] = "batch"
    epsilon: float = 1e-5
    vocabulary: int = 4233
    decoder_blocks: int = 6
    beam: int = 10
    ctc_weight: float = 0.5

    @property
    def eos(self) -> int:
        """The last token, both start and end of a sentence; 0 is the CTC's blank."""
        return self.vocabulary - 1


class ConformerBlock(nn.Module):
    """Half a feed-forward, attention, convolution, half a feed-forward, each on a norm and added; then a last norm."""

    def __init__(self, config: WenetConfig) -> None:
        super().__init__()
        width, hidden, epsilon = config.width, config.hidden, config.epsilon
        self.norm_ff_macaron = nn.LayerNorm(width, eps=epsilon)
        self.feed_forward_macaron = FeedForward(width, hidden, nn.SiLU())
        self.norm_mha = nn.LayerNorm(width, eps=epsilon)
        self.self_attn = PositionAttention(width, config.heads, config.position)
        self.norm_conv = nn.LayerNorm(width, eps=epsilon)
        self.conv_module = Convolution(width, config.kernel, config.norm, epsilon)
        self.norm_ff = nn.LayerNorm(width, eps=epsilon)
        self.feed_forward = FeedForward(width, hidden, nn.SiLU())
        self.norm_final = nn.LayerNorm(width, eps=epsilon)

    def forward(self, x: Tensor, rows: Tensor, mask: Tensor) -> Tensor:
        """[batch, time, width], table rows, bool [batch, 1, time] -> [batch, time, width]."""
        x = x + 0.5 * self.feed_forward_macaron(self.norm_ff_macaron(x))
        x = x + self.self_attn(self.norm_mha(x), rows, mask)
        x = x + self.conv_module(self.norm_conv(x), mask)
        x = x + 0.5 * self.feed_forward(self.norm_ff(x))
        return self.norm_final(x)  # type: ignore[no-any-return]


class TransformerBlock(nn.Module):
    """x + attention(LN(x)), then x + feed-forward(LN(x))."""

    def __init__(self, config: WenetConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width, eps=config.epsilon)
        self.self_attn = Attention(config.width, config.heads)
        self.norm2 = nn.LayerNorm(config.width, eps=config.epsilon)
        self.feed_forward = FeedForward(config.width, config.hidden, nn.ReLU())

    def forward(self, x: Tensor, rows: Tensor, mask: Tensor) -> Tensor:
        """[batch, time, width], table rows (in x already), bool [batch, 1, time] -> [batch, time, width]."""
        normed = self.norm1(x)
        x = x + self.self_attn(normed, normed, mask)
        return x + self.feed_forward(self.norm2(x))  # type: ignore[no-any-return]


class Cmvn(nn.Module):
    """(x - mean) * istd for each bin: the statistics of the training data, kept in the graph."""

    mean: Tensor
    istd: Tensor

    def __init__(self, bins: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(bins))
        self.register_buffer("istd", torch.ones(bins))

    def forward(self, x: Tensor) -> Tensor:
        """[batch, frames, bins] -> the same."""
        return (x - self.mean) * self.istd


class Encoder(nn.Module):
    """Features to states at a quarter of the frame rate."""

    def __init__(self, config: WenetConfig) -> None:
        super().__init__()
        if (config.block == "transformer") != (config.position == "absolute"):
            raise ValueError("transformer blocks take absolute positions, conformer blocks relative or key")
        block = ConformerBlock if config.block == "conformer" else TransformerBlock
        self.global_cmvn = Cmvn(config.bins)
        self.embed = Subsampling(config.bins, config.width, Positions(config.width, config.position, config.positions))
        self.encoders = nn.ModuleList(block(config) for _ in range(config.blocks))
        self.after_norm = nn.LayerNorm(config.width, eps=config.epsilon)

    def forward(self, speech: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """float32 [batch, frames, bins], int [batch] -> [batch, time, width], bool [batch, 1, time]."""
        mask = ~padding_mask(lengths, speech.size(1)).unsqueeze(1)
        x, rows, mask = self.embed(self.global_cmvn(speech), mask)
        for block in self.encoders:
            x = block(x, rows, mask)
        return self.after_norm(x), mask


class Ctc(nn.Module):
    """States to log-probabilities of tokens and blank."""

    def __init__(self, width: int, vocabulary: int) -> None:
        super().__init__()
        self.ctc_lo = nn.Linear(width, vocabulary)

    def forward(self, states: Tensor) -> Tensor:
        """[batch, time, width] -> [batch, time, vocabulary]."""
        return self.ctc_lo(states).log_softmax(dim=2)  # type: ignore[no-any-return]


class WenetEncoder(nn.Module):
    """The encoder as it is deployed: states, their lengths, CTC log-probabilities and the best of each frame."""

    def __init__(self, config: WenetConfig) -> None:
        super().__init__()
        self.beam = config.beam
        self.encoder = Encoder(config)
        self.ctc = Ctc(config.width, config.vocabulary)

    def forward(self, speech: Tensor, speech_lengths: Tensor) -> tuple[Tensor, ...]:
        """float32 [batch, frames, bins], int32 [batch] -> states, int32 lengths, log-probabilities, the beam's, its int64 tokens."""
        states, mask = self.encoder(speech, speech_lengths)
        lengths = mask.squeeze(1).sum(1).int()
        log_probs = self.ctc(states)
        best, tokens = torch.topk(log_probs, self.beam, dim=2)
        return states, lengths, log_probs, best, tokens


class DecoderBlock(nn.Module):
    """Causal self-attention, attention to the encoder, feed-forward, each on a norm and added."""

    def __init__(self, config: WenetConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width, eps=config.epsilon)
        self.self_attn = Attention(config.width, config.heads)
        self.norm2 = nn.LayerNorm(config.width, eps=config.epsilon)
        self.src_attn = Attention(config.width, config.heads)
        self.norm3 = nn.LayerNorm(config.width, eps=config.epsilon)
        self.feed_forward = FeedForward(config.width, config.hidden, nn.ReLU())

    def forward(self, x: Tensor, mask: Tensor, memory: Tensor, memory_mask: Tensor) -> Tensor:
        """[batch, tokens, width] -> the same; masks bool [batch, tokens, tokens] and [batch, 1, time]."""
        normed = self.norm1(x)
        x = x + self.self_attn(normed, normed, mask)
        x = x + self.src_attn(self.norm2(x), memory, memory_mask)
        return x + self.feed_forward(self.norm3(x))  # type: ignore[no-any-return]


class Decoder(nn.Module):
    """Tokens and encoder states to logits of each next token."""

    def __init__(self, config: WenetConfig) -> None:
        super().__init__()
        positions = Positions(config.width, "absolute", config.positions)
        self.embed = nn.Sequential(nn.Embedding(config.vocabulary, config.width), positions)
        self.decoders = nn.ModuleList(DecoderBlock(config) for _ in range(config.decoder_blocks))
        self.after_norm = nn.LayerNorm(config.width, eps=config.epsilon)
        self.output_layer = nn.Linear(config.width, config.vocabulary)

    def forward(self, memory: Tensor, memory_mask: Tensor, tokens: Tensor, lengths: Tensor) -> Tensor:
        """[n, time, width], bool [n, 1, time], int64 [n, tokens], int [n] -> [n, tokens, vocabulary]."""
        size = tokens.size(1)
        mask = ~padding_mask(lengths, size).unsqueeze(1) & causal_mask(size, tokens.device)
        x, _ = self.embed(tokens)
        for block in self.decoders:
            x = block(x, mask, memory, memory_mask)
        return self.output_layer(self.after_norm(x))  # type: ignore[no-any-return]


class WenetDecoder(nn.Module):
    """The decoder as it is deployed: it scores all hypotheses of the CTC's beam at once and names the best."""

    def __init__(self, config: WenetConfig) -> None:
        super().__init__()
        self.beam, self.ctc_weight = config.beam, config.ctc_weight
        self.decoder = Decoder(config)

    def forward(
        self, encoder_out: Tensor, encoder_out_lens: Tensor, hyps_pad_sos_eos: Tensor, hyps_lens_sos: Tensor, ctc_score: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """States [batch, time, width] with int32 lengths [batch], hypotheses int64 [batch, beam, tokens] with int32 lengths
        [batch, beam] that count the start, CTC scores float32 [batch, beam] -> log-probabilities [batch, beam, tokens - 1,
        vocabulary], scores [batch, beam], int64 index of the best [batch].
        """
        batch, time, width = encoder_out.shape
        rows, tokens = batch * self.beam, hyps_pad_sos_eos.shape[2] - 1
        memory = encoder_out.repeat(1, self.beam, 1).view(rows, time, width)
        memory_mask = (~padding_mask(encoder_out_lens, time).unsqueeze(1)).repeat(1, self.beam, 1).view(rows, 1, time)
        hypotheses, lengths = hyps_pad_sos_eos.view(rows, tokens + 1), hyps_lens_sos.view(rows)
        log_probs = self.decoder(memory, memory_mask, hypotheses[:, :-1].contiguous(), lengths).log_softmax(dim=-1)
        spoken = ~padding_mask(lengths, tokens)
        chosen = log_probs.gather(2, (hypotheses[:, 1:] * spoken).unsqueeze(2)).squeeze(2) * spoken
        score = chosen.sum(dim=1).view(batch, self.beam) + self.ctc_weight * ctc_score
        return log_probs.view(batch, self.beam, tokens, -1), score, score.argmax(dim=1)
