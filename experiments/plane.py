"""Figures of experiments in the plane: densities on a grid, layers in motion."""

import jax
import numpy as np

from nfml_jax import plots
from nfml_jax.flows.functions import path

# Approximate number of moving frames in an animation, for any number of layers.
MOVING_FRAMES = 72


def on_grid(log_prob, limits: "plots.Limits", size: int = 200) -> np.ndarray:
    """Return log_prob `[size, size]` at `plots.grid_points`, for a heat map."""
    return log_prob(plots.grid_points(limits, size)).reshape(size, size)


def layers_in_motion(flow, variables, seed: int, n: int, target) -> list[np.ndarray]:
    """Return frames of `n` draws on their way from the base to the `target [M, 2]`."""
    points = path(flow, variables, jax.random.key(seed), n)
    steps = min(8, max(1, MOVING_FRAMES // (len(points) - 1)))
    return plots.layer_frames(points, target, steps=steps, pause=steps // 2)
