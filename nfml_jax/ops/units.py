"""Numbers for people to read."""

import math
import re

# Formats of metrics by the words in their names; the first match counts.
UNITS = (
    ({"angle", "angles"}, lambda value: f"{value:.2f}°"),
    ({"threshold"}, lambda value: f"{value:.4f}"),
    ({"accuracy", "eer", "tar", "auc"}, lambda value: f"{100 * value:.2f}%"),
)


def format_metric(name: str, value: float | str) -> str:
    """Return a metric as a person reads it; a text stays as it is.

    >>> format_metric("test/accuracy", 0.987), format_metric("test/angle", 35.2)
    ('98.70%', '35.20°')
    """
    if isinstance(value, str):
        return value
    value = float(value)
    if not math.isfinite(value):
        return str(value)
    words = set(re.split(r"[^a-z]+", name.lower()))
    for known, form in UNITS:
        if words & known:
            return form(value)
    if value.is_integer() or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4f}" if abs(value) >= 1e-3 else f"{value:.2e}"


def format_flops(flops: float, per: str = "") -> str:
    """Return a number of floating-point operations with a prefix of its unit.

    >>> format_flops(2.35e9, per="/s")
    '2.35 GFLOP/s'
    """
    for prefix in ("", "k", "M", "G", "T"):
        if flops < 999.5:
            return f"{flops:.3g} {prefix}FLOP{per}"
        flops /= 1000
    return f"{flops:.3g} PFLOP{per}"


def format_seconds(seconds: float) -> str:
    """Return a duration as minutes and seconds, or with hours.

    >>> format_seconds(42), format_seconds(100_000)
    ('0:42', '27:46:40')
    """
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
