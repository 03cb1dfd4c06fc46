"""Error and identification rates: DET, CMC and open-set identification curves."""

from collections.abc import Mapping
from typing import cast

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy import special

from nfml_jax.evaluation.accept_rates import Roc
from nfml_jax.evaluation.identification import OpenSet, Search
from nfml_jax.plots import style

PERCENT = 1e-4, 1e-3, 0.01, 0.1, 1, 5, 20, 40, 60, 80, 95, 99, 99.9, 99.99
"""The places at which a DET curve's axes may have ticks."""

ALMOST_ALL = 0.9999  # the rates 0 and 1 lie at infinity


def det_curve(curves: Roc | Mapping[str, Roc], title: str = "") -> Figure:
    """Draw false rejects over false accepts of one Roc or several, with the EER.

    The axes are in normal deviates, on which scores of two normal densities give a
    straight line (Martin et al., Eurospeech 1997). They begin at the smallest rate that
    the pairs can measure, a single pair, and a rate of 0 is drawn there.
    """
    curves = _by_name(curves, Roc)
    figure = style.new_figure(5.6, 5.2)
    axes = figure.add_subplot()
    worst = max(roc.eer for roc in curves.values())
    high = 0.6 if worst < 0.5 else ALMOST_ALL
    low_far = min(0.05, *(1 / roc.impostor[-1] for roc in curves.values()))
    low_frr = min(0.05, *(1 / roc.genuine[-1] for roc in curves.values()))

    def place(far, frr):
        far, frr = np.clip(far, low_far, ALMOST_ALL), np.clip(frr, low_frr, ALMOST_ALL)
        return special.ndtri(far), special.ndtri(frr)

    for (name, roc), color in _colored(curves):
        axes.plot(
            *place(roc.far, roc.frr),
            color=color,
            linewidth=1.6,
            drawstyle="steps-post",
        )
        axes.plot(
            *place(roc.eer, roc.eer),
            color=color,
            marker="o",
            linestyle="",
            label=_label(name, f"EER {roc.eer:.2%}"),
            clip_on=False,
        )
    style.tidy(axes, "false accept rate", "false reject rate", title)
    for axis, low in ((axes.xaxis, low_far), (axes.yaxis, low_frr)):
        shown = [p for p in PERCENT if 99.9 * low <= p <= 100 * high]
        axis.set_ticks(
            special.ndtri(np.divide(shown, 100)), [f"{p:g} %" for p in shown]
        )
    ends = special.ndtri([low_far, high]), special.ndtri([low_frr, high])
    axes.set(xlim=ends[0], ylim=ends[1])
    axes.legend(fontsize=style.TEXT, loc="upper right", framealpha=0.9)
    return figure


def cmc_curve(
    searches: Search | Mapping[str, Search], ranks: int = 20, title: str = ""
) -> Figure:
    """Draw the share of mated probes within each rank, for one or more searches.

    The curve ends at `ranks`, or at the number of enrolled identities if that is
    smaller.
    """
    figure = style.new_figure(6.4, 4.6)
    axes = figure.add_subplot()
    least, last = 1.0, 1
    for (name, found), color in _colored(_by_name(searches, Search)):
        shares = found.cmc()[:ranks]
        least, last = min(least, shares[0]), max(last, len(shares))
        axes.plot(
            np.arange(1, len(shares) + 1),
            shares,
            color=color,
            linewidth=1.6,
            marker="o",
            markersize=4,
            label=_label(name, f"rank-1 {shares[0]:.2%}"),
            clip_on=False,
        )
    style.tidy(axes, "rank", "share of mated probes identified", title)
    cast(MaxNLocator, axes.xaxis.get_major_locator()).set_params(integer=True)
    axes.set(xlim=(1, max(last, 2)), ylim=(max(0, 1.3 * least - 0.31), 1.005))
    axes.legend(fontsize=style.TEXT, loc="lower right", framealpha=0.9)
    return figure


def open_set_curve(curves: OpenSet | Mapping[str, OpenSet], title: str = "") -> Figure:
    """Draw DIR over FPIR (logarithmic) of one open-set search or of several by name.

    The axis begins at the smallest FPIR that the probes can measure, a single non-mated
    probe; the DIR at no false alarm at all is drawn there.
    """
    curves = _by_name(curves, OpenSet)
    figure = style.new_figure(6.4, 4.6)
    axes = figure.add_subplot()
    left = min(0.1, *(1 / len(curve.non_mated) for curve in curves.values()))
    for (name, curve), color in _colored(curves):
        fpir, rate = curve.rates()
        axes.plot(
            np.maximum(fpir, left),
            rate,
            color=color,
            linewidth=1.6,
            drawstyle="steps-post",
            label=_label(name, f"closed set {rate[-1]:.2%}"),
        )
    style.tidy(
        axes,
        "false positive identification rate",
        "detection and identification rate",
        title,
    )
    axes.set(xscale="log", xlim=(left, 1), ylim=(0, 1.02))
    axes.legend(fontsize=style.TEXT, loc="lower right", framealpha=0.9)
    return figure


def _by_name(curves, kind) -> Mapping:
    return {"": curves} if isinstance(curves, kind) else curves


def _colored(curves):
    return zip(curves.items(), style.colors(len(curves)), strict=True)


def _label(name: str, figure: str) -> str:
    return style.literal(f"{name} ({figure})") if name else figure
