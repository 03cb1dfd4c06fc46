"""An animation of points on their way from the base through the layers to the data."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from nfml_jax.plots import style
from nfml_jax.plots.densities import limits_around, scatter
from nfml_jax.plots.embeddings import MAX_POINTS

COLORS = 12


def layer_frames(
    points, target=None, *, title: str = "", steps: int = 8, pause: int = 4
) -> list[np.ndarray]:
    """Return frames uint8 `[H, W, 3]` of points that move through all layers.

    `points [layers + 1, N, 2]` begin at the base; a point keeps the color of its
    direction there. `steps` frames lead to each layer, and `pause` more stay there.
    `target [M, 2]`, the data, is drawn faintly beneath.
    """
    points = np.asarray(points)[:, :MAX_POINTS]
    layers = len(points) - 1
    seen = [*points] if target is None else [*points, target]
    limits = np.array(limits_around(*seen))
    half = np.ptp(limits, axis=1).max() / 2
    (x0, y0), (x1, y1) = limits.mean(axis=1) - half, limits.mean(axis=1) + half
    figure = style.new_figure(4.4, 4.6)
    axes = figure.add_subplot()
    if target is not None:
        scatter(axes, target, style.FAINT)
    turn = np.arctan2(*points[0].T) / (2 * np.pi) + 0.5
    # Few colors, as a GIF has 256 in all.
    hues = matplotlib.colormaps["hsv"](np.arange(COLORS) / COLORS)
    colors = hues[(COLORS * turn).astype(int) % COLORS] * [0.85, 0.8, 0.9, 1]
    dots = axes.scatter(*points[0].T, c=colors, s=5, linewidths=0)
    style.tidy(axes, title=" ")
    axes.set(xlim=(x0, x1), ylim=(y0, y1), aspect="equal")
    style.to_rgb(figure)
    figure.set_layout_engine("none")  # axes must not shift between frames
    dots.set_animated(True)  # the background is drawn once for each title
    canvas, frames, drawn = figure.canvas, [], {}
    assert isinstance(canvas, FigureCanvasAgg)

    def show(place, name, times=1):
        if name not in drawn:
            words = f"{title}{' · ' if title else ''}{name}"
            axes.set_title(style.literal(words), fontsize=style.TITLE, color=style.INK)
            canvas.draw()
            drawn[name] = canvas.copy_from_bbox(figure.bbox)
        canvas.restore_region(drawn[name])
        dots.set_offsets(place)
        axes.draw_artist(dots)
        frames.extend([np.asarray(canvas.buffer_rgba())[..., :3].copy()] * times)

    show(points[0], "base", 2 * pause)
    for k in range(layers):
        name = f"layer {k + 1} of {layers}"
        for t in np.arange(1, steps + 1) / steps:
            ease = t * t * (3 - 2 * t)
            show((1 - ease) * points[k] + ease * points[k + 1], name)
        frames.extend([frames[-1]] * pause)
    frames.extend([frames[-1]] * (4 * pause))
    return frames


def save_animation(
    frames: Sequence[np.ndarray], path: str | Path, frames_per_second: float = 12
) -> None:
    """Write frames uint8 `[H, W, 3]` as a GIF that repeats forever."""
    ends = Image.fromarray(np.concatenate([frames[0], frames[-1]]))
    # One palette for all frames prevents flicker and keeps white white.
    palette = ends.quantize(255, Image.Quantize.MAXCOVERAGE)
    images = [
        Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)
        for frame in frames
    ]
    images[0].save(
        path,
        format="gif",
        save_all=True,
        append_images=images[1:],
        duration=round(1000 / frames_per_second),
        loop=0,
    )
