"""From CTC outputs to tokens and hypotheses, and how far two transcripts or two rankings agree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from variants.variant import Array

BLANK = 0
NEVER = -np.inf


def greedy(log_probs: Array, length: int) -> list[int]:
    """The best token of each of the first `length` frames of [time, vocabulary], repeats merged, blanks dropped."""
    best = log_probs[:length].argmax(axis=-1)
    return [int(token) for place, token in enumerate(best) if token != BLANK and (place == 0 or token != best[place - 1])]


def edit_distance(first: Sequence[int], second: Sequence[int]) -> int:
    """The fewest insertions, deletions and replacements that turn one into the other (Levenshtein)."""
    row = list(range(len(second) + 1))
    for i, left in enumerate(first, 1):
        above, row = row, [i]
        for j, right in enumerate(second, 1):
            row.append(min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (left != right)))
    return row[-1]


def token_agreement(actual: Sequence[Sequence[int]], reference: Sequence[Sequence[int]]) -> float:
    """1 - edits / tokens of the reference over all transcripts, no less than 0: one minus the token error rate."""
    edits = sum(edit_distance(one, other) for one, other in zip(actual, reference, strict=True))
    return max(0.0, 1 - edits / max(1, sum(map(len, reference))))


def rank_agreement(actual: Array, reference: Array) -> float:
    """Mean over the rows of [n, hypotheses] of the share of pairs that both put in the same order: (1 + Kendall's tau a) / 2."""
    pairs = np.array(list(combinations(range(reference.shape[1]), 2)))
    order = [np.sign(scores[:, pairs[:, 0]] - scores[:, pairs[:, 1]]) for scores in (actual, reference)]
    return float(np.mean(1 - np.abs(order[0] - order[1]) / 2))


def beam_search(log_probs: Array, tokens: Array, beam: int) -> list[tuple[tuple[int, ...], float]]:
    """CTC prefix beam search over the best of each frame: log-probabilities and tokens [time, k].

    Gives `beam` hypotheses or fewer with their log-probabilities, the best first (Hannun and others, arXiv 1408.2873).
    """
    kept: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, NEVER)}
    for scores, ids in zip(log_probs.tolist(), tokens.tolist(), strict=True):
        following: dict[tuple[int, ...], tuple[float, float]] = defaultdict(lambda: (NEVER, NEVER))
        for prefix, (blank, spoken) in kept.items():
            whole = _sum(blank, spoken)
            for score, token in zip(scores, ids, strict=True):
                if token == BLANK:
                    _add(following, prefix, whole + score, NEVER)
                elif prefix and prefix[-1] == token:
                    _add(following, prefix, NEVER, spoken + score)
                    _add(following, (*prefix, token), NEVER, blank + score)
                else:
                    _add(following, (*prefix, token), NEVER, whole + score)
        kept = dict(sorted(following.items(), key=lambda item: _sum(*item[1]), reverse=True)[:beam])
    return [(prefix, _sum(*scores)) for prefix, scores in kept.items()]


def _add(kept: dict[tuple[int, ...], tuple[float, float]], prefix: tuple[int, ...], blank: float, spoken: float) -> None:
    if blank == spoken == NEVER:
        return
    before = kept[prefix]
    kept[prefix] = (_sum(before[0], blank), _sum(before[1], spoken))


def _sum(first: float, second: float) -> float:
    """log(exp(first) + exp(second))."""
    return float(np.logaddexp(first, second))
