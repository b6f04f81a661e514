"""Numbers as the report prints them, and the one place that decides what may be claimed of a ratio."""

from __future__ import annotations

import re
from dataclasses import dataclass

from reports.accuracy import MAX_SNR_DB, Accuracy
from reports.blocks import MISSING, Bar, Cell, Tone
from reports.record import Built, Failed, Inaccurate, Measured, Outcome, Rejected, Unsupported
from reports.statistics import Estimate

FEWEST_PAIRS = 6
"""Below six pairs not even the whole range covers the median with 95 %: 1 - 2 * 0.5**n first exceeds it at 6."""

OUTCOMES: dict[type[Outcome], tuple[str, Tone]] = {
    Measured: ("measured", "good"),
    Built: ("built", "info"),
    Inaccurate: ("inaccurate", "warn"),
    Rejected: ("rejected", "rejected"),
    Unsupported: ("unsupported", "muted"),
    Failed: ("failed", "bad"),
}

_TERMINAL_CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True, slots=True)
class Claim:
    """What may be said of a ratio in words."""

    text: str
    tone: Tone

    @property
    def holds(self) -> bool:
        """Whether a difference is claimed at all."""
        return self.tone in ("good", "bad")

    @property
    def word(self) -> Cell:
        """The claim beside a column that has the ratio already: "faster", "slower", or why there is none."""
        return Cell(self.text.rsplit(" ", 1)[-1] if self.holds else self.text, tone=self.tone)


def claim(ratio: Estimate, pairs: int, noise: float | None) -> Claim:
    """Faster or slower only where the interval leaves out 1 and the effect exceeds the noise of a self-pair."""
    if pairs < FEWEST_PAIRS:
        return Claim(f"n too small ({pairs} pairs)", "muted")
    if ratio.low <= 1 <= ratio.high:
        return Claim("no difference seen", "muted")
    if noise is not None and abs(ratio.value - 1) <= noise:
        return Claim(f"within the noise (±{noise:.1%})", "muted")
    if ratio.value > 1:
        return Claim(f"{times(ratio.value)} faster", "good")
    return Claim(f"{times(1 / ratio.value)} slower", "bad")


def badge(outcome: Outcome) -> Cell:
    """The outcome's name in its colour."""
    name, tone = OUTCOMES[type(outcome)]
    return Cell(name, tone=tone)


def number(value: float | None, digits: int = 2, hint: str = "") -> Cell:
    """A number with fixed decimals, sorted by its exact value."""
    return MISSING if value is None else Cell(f"{value:,.{digits}f}", value, hint=hint)


def scientific(value: float | None) -> Cell:
    """Three significant digits, as errors spanning decades need."""
    return MISSING if value is None else Cell(f"{value:.2e}" if value else "0", value)


def score_cells(accuracy: Accuracy) -> tuple[Cell, Cell]:
    """The task metric and its change against the reference; missing where nothing is labelled."""
    if accuracy.score is None or accuracy.reference_score is None or accuracy.delta is None:
        return MISSING, MISSING
    hint = f"{accuracy.metric}, reference {accuracy.reference_score:.4f}"
    return Cell(f"{accuracy.score:.4f}", accuracy.score, hint=hint), Cell(f"{accuracy.delta:+.4f}", accuracy.delta, hint=accuracy.metric)


def microseconds(value: float) -> str:
    """Four significant digits, never fewer than the whole microseconds: 12.35, 123.5, 1,235, 12,346."""
    return f"{value:,.{decimals(value)}f}"


def decimals(value: float) -> int:
    """Decimals that leave four significant digits of a number from 0.1 up."""
    return next((digits for bound, digits in ((10, 3), (100, 2), (1000, 1)) if abs(value) < bound), 0)


def times(ratio: float) -> str:
    """A ratio: 1.023x, 12.3x."""
    return f"{ratio:.3f}x" if ratio < 10 else f"{ratio:.1f}x"


def range_us(estimate: Estimate) -> str:
    """A 95 % interval in microseconds, with as many decimals as its value."""
    digits = decimals(estimate.value)
    return f"{estimate.low:,.{digits}f} – {estimate.high:,.{digits}f}"


def range_times(estimate: Estimate) -> str:
    """A 95 % interval of a ratio."""
    return f"{estimate.low:.3f} – {estimate.high:.3f}"


def ratio_bar(estimate: Estimate, colour: int | None = None) -> Cell:
    """The ratio drawn from 1, with its interval."""
    words = f"{times(estimate.value)}, 95 % interval {range_times(estimate)}"
    return Cell("", estimate.value, hint=words, bar=Bar(estimate.value, estimate.low, estimate.high, colour))


def decibel(value: float) -> str:
    """A signal-to-noise ratio; the cap of `snr_db` stands for "equal"."""
    return "equal" if value >= MAX_SNR_DB else f"{value:.1f}"


def megabytes(size: float) -> Cell:
    """10**6 bytes, sorted by the exact size, which hovering shows."""
    value = size / 1e6
    return Cell(f"{value:,.3f}" if value < 100 else f"{value:,.1f}", size, hint=f"{size:,.0f} bytes")


def message(text: str) -> str:
    """A tool's message without its terminal colours, and never nothing."""
    return _TERMINAL_CODES.sub("", text).strip() or "(no message)"


def shorten(text: str, length: int = 70) -> str:
    """One line of at most `length` characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 2] + " …"


def count(number: int, thing: str) -> str:
    """ "1 case", "2 cases"."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
