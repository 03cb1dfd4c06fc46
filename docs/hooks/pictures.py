# %%
"""Figures that come from registries: the curve of each margin's target logit."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from nfml_jax.heads import MARGINS
from nfml_jax.plots import style

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


{f"margins/{name}": curve(name) for name in MARGINS}
