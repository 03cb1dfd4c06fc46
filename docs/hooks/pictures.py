# %%
"""Figures that come from registries and kept results.

They are the curve of each margin's target logit, and the trials of the kept search.
"""

import dataclasses
import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np

import nfml_jax
from nfml_jax.heads import MARGINS
from nfml_jax.plots import style
from nfml_jax.runs.records import find_results

DEGREES = np.linspace(0, 180, 361)
# Norms of embeddings and normal draws of the curves of margins that differ by example.
EXAMPLES = ((10.0, -1.0), (20.0, 0.0), (110.0, 1.0))
TARGET = 0.3  # φ of the target class where other classes are compared with it
T = 0.5  # a running mean of the target cosine in the midst of training


def curve(name):
    """Return a figure of φ(θ), and of the other classes' cosine where it changes."""
    margin = MARGINS[name]()
    if "t" in {
        f.name for f in dataclasses.fields(margin) if f.metadata.get("statistic")
    }:
        margin = dataclasses.replace(margin, t=T)
    cosine = jnp.cos(jnp.radians(DEGREES))
    figure = style.new_figure(3.9, 3.0)
    axes = figure.add_subplot()
    axes.plot(DEGREES, cosine, color=style.PALETTE[7], linewidth=1, linestyle="--")
    like = jnp.ones_like(cosine)
    curves = [
        np.asarray(margin.for_examples(cosine, n * like, d * like).target(cosine))
        for n, d in EXAMPLES
    ]
    if np.ptp(curves, axis=0).max() < 1e-3:
        curves = curves[:1]
    for phi, width in zip(curves, (2.2, 1.6, 1.1), strict=False):
        axes.plot(DEGREES, phi, color=style.PALETTE[0], linewidth=width)
    others = np.asarray(margin.negatives(cosine, jnp.asarray(TARGET)))
    if np.abs(others - cosine).max() > 1e-3:
        axes.plot(DEGREES, others, color=style.PALETTE[1], linewidth=1.6)
        axes.plot([], [], color=style.PALETTE[1], label=f"other class, φ = {TARGET}")
    label = "target" if len(curves) == 1 else "target, small to large norm or draw"
    axes.plot([], [], color=style.PALETTE[0], label=label)
    axes.plot([], [], color=style.PALETTE[7], linestyle="--", label="cos θ")
    style.tidy(axes, "θ, degrees", "in place of cos θ")
    low = max(-3.0, min(np.min(curves), float(others.min())) - 0.1)
    axes.set(xlim=(0, 180), ylim=(low, 1.15), xticks=np.arange(0, 181, 45))
    axes.legend(fontsize=style.SMALL, frameon=False)
    return figure


def searched(records, fields):
    """Return a figure of the trials of a search, a panel for each of its fields."""
    figure = style.new_figure(8.4, 2.7)
    panels = figure.subplots(1, len(fields), sharey=True)
    for axes, field in zip(panels, fields, strict=True):
        section, _, name = field.partition(".")
        values = np.array([record["config"][section][name] for record in records])
        found = [r["metrics"].get("validation/accuracy", np.nan) for r in records]
        found = 100 * np.array(found)
        pruned, best = np.isnan(found), np.nanargmax(found)
        bottom = np.full(pruned.sum(), np.nanmin(found) - 0.3)
        axes.scatter(values[pruned], bottom, color=style.PALETTE[7], marker="|")
        axes.scatter(values, found, color=style.PALETTE[0], s=22)
        axes.scatter(values[best], found[best], color=style.PALETTE[1], s=50)
        label = "validation accuracy, %" if axes is panels[0] else ""
        style.tidy(axes, field, label)
        if field in LOGARITHMIC:
            axes.set_xscale("log")
            axes.set_xticks(LOGARITHMIC[field], map(str, LOGARITHMIC[field]))
            axes.minorticks_off()
    return figure


KEPT = Path(nfml_jax.__file__).parents[1] / "results/arcface_search"
FILES = [KEPT / "results.jsonl", KEPT / "search.json"]  # besides modules
LOGARITHMIC = {
    "head.scale": (10, 20, 40),
    "optimizer.learning_rate": (0.001, 0.003, 0.01),
}
FIELDS = [*json.loads(FILES[1].read_text())["asked"][0]]
SEARCH = {"search": searched(find_results([KEPT]), FIELDS)}
{f"margins/{name}": curve(name) for name in MARGINS} | SEARCH
