"""What experiments in the plane show alike: densities on a grid, layers in motion."""

import jax
import numpy as np

from nfml_jax import plots
from nfml_jax.flows.trained import path
from nfml_jax.plots.densities import Limits

# An animation has about so many frames in motion, however many layers there are.
MOVING_FRAMES = 72


def on_grid(log_prob, limits: Limits) -> np.ndarray:
    """log_prob `[size, size]` at `plots.grid_points(limits)`, for a heat map."""
    log_probs = log_prob(plots.grid_points(limits))
    size = round(len(log_probs) ** 0.5)
    return log_probs.reshape(size, size)


def layers_in_motion(flow, variables, seed: int, n: int, target) -> list[np.ndarray]:
    """Frames of `n` draws on their way from the base to the `target [M, 2]`."""
    points = path(flow, variables, jax.random.key(seed), n)
    steps = min(8, max(1, MOVING_FRAMES // (len(points) - 1)))
    return plots.layer_frames(points, target, steps=steps, pause=steps // 2)
