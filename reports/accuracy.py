"""Errors of one case's outputs against the reference model's, and whether they are within tolerance."""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt

FLOOR = 1e-3
"""Relative errors divide by |reference|, but by no less than this share of the reference's RMS: near-zero logits would rule them."""


MAX_SNR_DB = 300.0
"""float64 itself carries about 319 dB, so 300 stands for "equal"."""


class Spread(msgspec.Struct, frozen=True):
    """Mean, median, 99th percentile and maximum of an error over all elements."""

    mean: float
    median: float
    p99: float
    max: float


class OutputError(msgspec.Struct, frozen=True):
    """One output tensor against the reference's.

    `absolute` is in the output's own unit; `relative` is a fraction (see FLOOR); `cosine` is of the flattened
    tensors; `snr_db` is 10*log10(sum r^2 / sum (y-r)^2), limited to +-MAX_SNR_DB. `non_finite` counts the
    elements that are NaN or infinite, here or in the reference; where there are any, the errors have no meaning and are None.
    """

    output: str
    elements: int
    non_finite: int
    absolute: Spread | None
    relative: Spread | None
    cosine: float
    snr_db: float


class Accuracy(msgspec.Struct, frozen=True):
    """A case's accuracy over the whole test split: `agreement` is the share of inputs with the reference's decision.

    `score` and `reference_score` are the task metric, None where nothing is labelled: then `metric` names the agreement.
    `measures` are (name, value) of further figures of the task against the reference, higher is better.
    """

    inputs: int
    outputs: tuple[OutputError, ...]
    agreement: float
    metric: str
    score: float | None
    reference_score: float | None
    measures: tuple[tuple[str, float], ...] = ()

    @property
    def delta(self) -> float | None:
        """The task metric's change; negative is worse. None where there is no task metric."""
        return None if self.score is None or self.reference_score is None else self.score - self.reference_score

    @property
    def change(self) -> str:
        """What a report says of the metric: its change, or the agreement where there is no task metric."""
        return f"{self.metric} {self.agreement:.2%}" if self.delta is None else f"{self.metric} changed by {self.delta:+.4f}"

    @property
    def worst_snr_db(self) -> float:
        """The lowest signal-to-noise ratio over the outputs."""
        return min((output.snr_db for output in self.outputs), default=MAX_SNR_DB)


class Tolerance(msgspec.Struct, frozen=True):
    """What a precision may cost, and why that much: SNR in dB, agreement 0..1, task metric drop in the metric's unit."""

    min_snr_db: float
    min_agreement: float
    max_drop: float
    why: str

    def violation(self, accuracy: Accuracy) -> str | None:
        """One sentence for the first bound that does not hold, or None when all do."""
        broken = [o for o in accuracy.outputs if o.non_finite]
        if broken:
            first = broken[0]
            return f"{first.non_finite} of {first.elements} elements of output '{first.output}' or of its reference are NaN or infinite"
        snr = accuracy.worst_snr_db
        if not snr >= self.min_snr_db:
            return f"signal-to-noise {snr:.1f} dB is under the {self.min_snr_db:g} dB allowed ({self.why})"
        if not accuracy.agreement >= self.min_agreement:
            return f"agreement with the reference {accuracy.agreement:.2%} is under the {self.min_agreement:.2%} allowed ({self.why})"
        if accuracy.delta is not None and not -accuracy.delta <= self.max_drop:
            return f"{accuracy.metric} fell by {-accuracy.delta:.4f}, more than the {self.max_drop:g} allowed ({self.why})"
        return None


def _spread(error: npt.NDArray[np.float64]) -> Spread:
    return Spread(float(error.mean()), float(np.median(error)), float(np.percentile(error, 99)), float(error.max()))


def output_error(name: str, actual: npt.NDArray[np.generic], reference: npt.NDArray[np.generic]) -> OutputError:
    """Compare one output, any float dtype and shape, in float64. Raises ValueError when the shapes differ."""
    if actual.shape != reference.shape:
        raise ValueError(f"output '{name}' has shape {actual.shape}, the reference {reference.shape}")
    y, r = actual.astype(np.float64).ravel(), reference.astype(np.float64).ravel()
    if bad := int((~(np.isfinite(y) & np.isfinite(r))).sum()):
        return OutputError(name, y.size, bad, None, None, 0.0, -MAX_SNR_DB)
    error = np.abs(y - r)
    scale = np.maximum(np.abs(r), FLOOR * float(np.sqrt(np.mean(r**2))) or 1.0)
    norms = float(np.linalg.norm(y) * np.linalg.norm(r))
    return OutputError(
        output=name,
        elements=y.size,
        non_finite=0,
        absolute=_spread(error),
        relative=_spread(error / scale),
        cosine=float(y @ r) / norms if norms else float(not error.any()),
        snr_db=_snr_db(float((r**2).sum()), float((error**2).sum())),
    )


def _snr_db(signal: float, noise: float) -> float:
    if noise == 0:
        return MAX_SNR_DB
    return float(np.clip(10 * np.log10(signal / noise), -MAX_SNR_DB, MAX_SNR_DB)) if signal else -MAX_SNR_DB
