"""A case's outcome in a few words, for the terminal."""

from __future__ import annotations

from reports.record import Built, Failed, Inaccurate, Measured, Record, Rejected, Unsupported


def outcome_text(record: Record) -> str:
    """Such as "1.41 ms  x1.21 (1.19 to 1.23)  SNR 32 dB"; one line for every outcome."""
    match record.outcome:
        case Measured() as measured:
            ratio, snr = measured.speedup, record.accuracy.worst_snr_db if record.accuracy else float("nan")
            copy = "against itself " if measured.baseline == record.case.id else ""
            return (
                f"{measured.median_us.value / 1e3:.3f} ms  {copy}x{ratio.value:.3f} ({ratio.low:.3f} to {ratio.high:.3f})  SNR {snr:.0f} dB"
            )
        case Built(target=target):
            seconds, size = (record.build.seconds, record.build.bytes) if record.build else (0.0, 0)
            return f"accepted for {target}: built in {seconds:.1f} s, {size / 1e6:.1f} MB"
        case Rejected(target=target, reason=reason):
            return f"rejected for {target}: {reason}"
        case Inaccurate(reason=reason):
            return f"inaccurate: {reason}"
        case Unsupported(reason=reason):
            return f"unsupported: {reason}"
        case Failed(stage=stage, reason=reason):
            return f"failed in {stage}: {reason}"
