"""What `--max-loss` asks for, and how far an accuracy is from it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from common.errors import UserError
from reports.accuracy import MAX_SNR_DB, Accuracy

SNR, COSINE, ERROR, AGREEMENT, METRIC = "snr", "cosine", "error", "agreement", "metric"
FIXED = (SNR, COSINE, ERROR, AGREEMENT, METRIC)
EXAMPLES = '"top1 0.5%", "snr 30dB", "cosine 0.999" or "error 1e-2"'
TAKES = {SNR: "decibels up to 300, such as 30dB", COSINE: "a cosine up to 1, such as 0.999", ERROR: "an error from 0 up, such as 1e-2"}
UNITS = {"": 1.0, "%": 0.01, "db": 1.0}


@dataclass(frozen=True, slots=True)
class Goal:
    """The accuracy asked for: `limit` in dB, cosine, the output's own unit, or a share (0.005 is half a per cent point).

    `kind` is one of FIXED; `figure` names one of Accuracy.measures, where it is that which is meant.
    """

    text: str
    kind: str
    limit: float
    figure: str = ""

    def loss(self, accuracy: Accuracy) -> float:
        """How much is lost, lower is better: -dB for SNR, 1 - cosine, the largest error, or the share lost of a figure.

        Infinite where an output is NaN or infinite. A task metric above the reference's is no loss and no gain: 0.
        """
        if any(output.non_finite for output in accuracy.outputs):
            return math.inf
        if self.kind == SNR:
            return -accuracy.worst_snr_db
        if self.kind == COSINE:
            return 1 - min((output.cosine for output in accuracy.outputs), default=1.0)
        if self.kind == ERROR:
            return max((output.absolute.max for output in accuracy.outputs if output.absolute), default=0.0)
        return max(0.0, self._share_lost(accuracy))

    def _share_lost(self, accuracy: Accuracy) -> float:
        if self.figure:
            return 1 - dict(accuracy.measures)[self.figure]
        if self.kind == METRIC and accuracy.delta is not None:
            return -accuracy.delta
        return 1 - accuracy.agreement

    @property
    def most(self) -> float:
        """The largest `loss` that is allowed."""
        return {SNR: -self.limit, COSINE: 1 - self.limit}.get(self.kind, self.limit)

    def holds(self, accuracy: Accuracy) -> bool:
        """Whether the accuracy is good enough; to a rounding error, as 1 - 0.995 is more than 0.005."""
        loss = self.loss(accuracy)
        return loss <= self.most + 1e-12 * max(1.0, abs(self.most))

    def said(self, loss: float) -> str:
        """A loss in the words of the goal: "31.2 dB", "cosine 0.99931", "error 0.0071", "0.28 % lost"."""
        if math.isinf(loss):
            return "not finite"
        if self.kind == SNR:
            return "equal" if -loss >= MAX_SNR_DB else f"{-loss:.1f} dB"
        if self.kind == COSINE:
            return f"cosine {1 - loss:.6f}"
        return f"error {loss:.2e}" if self.kind == ERROR else f"{loss:.2%} lost"


def parse(text: str, metric: str, figures: Sequence[str] = ()) -> Goal:
    """The goal written `text`, for a variant with this task metric and these further figures.

    Raises UserError with what may be written.
    """
    name, number, unit = _split(text)
    word = _plain(name)
    if word in (SNR, COSINE, ERROR):
        return _fixed(text, word, number, unit)
    meant = {METRIC: (METRIC, ""), AGREEMENT: (AGREEMENT, "")}.get(word) or _figure(text, word, metric, figures)
    if unit == "db" or not 0 <= number * UNITS[unit] < 1:
        raise UserError(f"--max-loss: '{text}' is not a loss of {meant[1] or metric} from 0 % up to 100 %, such as \"{name} 0.5%\"")
    return Goal(text, meant[0], number * UNITS[unit], meant[1])


def _split(text: str) -> tuple[str, float, str]:
    found = re.fullmatch(r"\s*(.*\S)\s+([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*(%|dB|db|DB)?\s*", text)
    try:
        number = float(found[2]) if found else math.nan
    except ValueError:
        number = math.nan
    if found is None or not math.isfinite(number):
        raise UserError(f"--max-loss: '{text}' is not a figure and a limit, such as {EXAMPLES}")
    return found[1], number, (found[3] or "").lower()


def _fixed(text: str, kind: str, number: float, unit: str) -> Goal:
    wrong = {
        SNR: unit == "%" or abs(number) > MAX_SNR_DB,
        COSINE: unit != "" or not -1 <= number <= 1,
        ERROR: unit != "" or number < 0,
    }
    if wrong[kind]:
        raise UserError(f"--max-loss: '{text}': {kind} takes {TAKES[kind]}")
    return Goal(text, kind, number)


def _figure(text: str, word: str, metric: str, figures: Sequence[str]) -> tuple[str, str]:
    """The metric or figure that `word` is, or is part of, punctuation aside; the whole name wins over a part."""
    named = [(METRIC, "", _plain(metric)), *((METRIC, figure, _plain(figure)) for figure in figures)]
    found = [entry for entry in named if entry[2] == word] or [entry for entry in named if word and word in entry[2]]
    if not found:
        known = ", ".join([*FIXED[:4], f"metric ({metric})", *figures])
        raise UserError(f"--max-loss: '{text}': this model has no such figure; there are: {known}; write it like {EXAMPLES}")
    return found[0][0], found[0][1]


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())
