"""Curves: receiver operating characteristics, and learning curves of a run."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from nfml_jax.evaluation.accept_rates import Roc
from nfml_jax.plots import style

WORDS = {"log_likelihood": "log-likelihood", "bits_per_dim": "bits per dimension"}


def roc_curve(curves: Roc | Mapping[str, Roc], title: str = "") -> Figure:
    """Draw TAR over FAR (logarithmic) of one Roc or of several by name, with the EER.

    The axis begins at the smallest FAR that the pairs can measure, one impostor; the
    TAR at no false accept at all is drawn there.
    """
    curves = {"": curves} if isinstance(curves, Roc) else curves
    figure = style.new_figure(6.4, 4.6)
    axes = figure.add_subplot()
    left = min(0.01, *(1 / roc.impostor[-1] for roc in curves.values()))
    for (name, roc), color in zip(
        curves.items(), style.colors(len(curves)), strict=True
    ):
        label = f"{name} (EER {roc.eer:.2%})" if name else f"EER {roc.eer:.2%}"
        axes.plot(
            np.maximum(roc.far, left),
            roc.tar,
            color=color,
            linewidth=1.6,
            drawstyle="steps-post",
        )
        axes.plot(
            max(roc.eer, left),
            1 - roc.eer,
            color=color,
            marker="o",
            linestyle="",
            label=style.literal(label),
            clip_on=False,
        )
    style.tidy(axes, "false accept rate", "true accept rate", title)
    axes.set(xscale="log", xlim=(left, 1), ylim=(0, 1.02))
    axes.legend(fontsize=style.TEXT, loc="lower right", framealpha=0.9)
    return figure


def learning_curves(
    rows: Sequence[Mapping[str, float]],
    title: str = "",
    levels: Mapping[str, float] | None = None,
) -> Figure:
    """Draw every logged loss, accuracy, log-likelihood and bits/dim against `step`.

    There is a panel for each of them that is found; one of bits per dimension stands
    for those of the loss and the log-likelihood, which are the same in other units. A
    panel leaves out log-likelihoods far below the curves' last three quarters.

    Args:
      rows: the lines of `metrics.jsonl`; a row may hold any of the names.
      title: above all panels.
      levels: values that curves are compared with, drawn as lines, by names that end
        as the curves' do: "gmm/log_likelihood". Bits above all curves are left out.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    kinds = {
        kind: [name for name in names if name.endswith(kind)]
        for kind in ("loss", "accuracy", "log_likelihood", "bits_per_dim")
    }
    kinds = {kind: found for kind, found in kinds.items() if found} or {"loss": []}
    if "bits_per_dim" in kinds:
        kinds = {k: v for k, v in kinds.items() if k in ("accuracy", "bits_per_dim")}
        # A run that is evaluated once more has its report in the log.
        trained = [n for n in kinds["bits_per_dim"] if n.startswith(("train", "valid"))]
        kinds["bits_per_dim"] = trained
    figure = style.new_figure(5 * len(kinds), 3.8, title)
    for i, (kind, found) in enumerate(kinds.items()):
        axes = figure.add_subplot(1, len(kinds), i + 1)
        lines = _lines_of(kind, rows, found, levels or {})
        colors = style.colors(len(found) + len(lines))
        for name, color in zip(found, colors, strict=False):
            points = [(row["step"], row[name]) for row in rows if name in row]
            sparse = len(points) < 30
            axes.plot(
                *np.transpose(points),
                color=color,
                linewidth=1.4,
                marker="o" if sparse else "",
                markersize=3,
                label=style.literal(name),
            )
        for (name, level), color in zip(
            lines.items(), colors[len(found) :], strict=True
        ):
            axes.axhline(level, color=color, linestyle="--", linewidth=1.2, label=name)
        if kind == "log_likelihood":
            _from_later_values(axes, rows, found, lines)
        style.tidy(axes, "step", WORDS.get(kind, kind))
        if found:
            axes.legend(fontsize=style.TEXT, frameon=False)
    return figure


def _lines_of(kind, rows, names, levels) -> dict[str, float]:
    """Return the levels of a panel by the first part of their names."""
    end = f"/{kind}"
    logged = [name.removesuffix(end) for name in names]
    lines = {n.removesuffix(end): v for n, v in levels.items() if n.endswith(end)}
    lines = {n: v for n, v in lines.items() if n not in logged}
    if kind != "bits_per_dim":
        return lines
    values = [row[name] for row in rows for name in names if name in row]
    return {n: v for n, v in lines.items() if v <= max(values, default=0)}


def _from_later_values(axes, rows, names, lines) -> None:
    """Begin the axis at the least value after a quarter of the steps."""
    last = max(row["step"] for row in rows)
    values = [
        row[name]
        for row in rows
        for name in names
        if name in row and row["step"] >= last / 4
    ]
    values = np.array([*values, *lines.values()])
    values = values[np.isfinite(values)]
    if len(values) and np.ptp(values) > 0:
        axes.set_ylim(bottom=values.min() - 0.08 * np.ptp(values))
