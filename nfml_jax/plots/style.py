"""The style of all figures: palette, text sizes, canvas, and output."""

import re
import warnings
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image

PALETTE = (
    "#1f77b4",
    "#ff7f0e",
    "#2ca02c",
    "#d62728",
    "#9467bd",
    "#8c564b",
    "#f06ec4",
    "#6e6e6e",
    "#b5b61a",
    "#17becf",
)
"""Ten colors that can be distinguished on white, for classes and for curves."""

DPI = 120
TEXT, SMALL, TITLE = 9, 8, 11
"""Text sizes in points: axes and legends, ticks and cells, titles."""
LONGEST = 28
"""Letters of a class's name that a figure shows."""
INK, FAINT = "#303030", "#c8c8c8"


def colors(n: int) -> np.ndarray:
    """Return RGBA colors `[n, 4]`: the palette, or beyond ten an even spectrum."""
    if n <= len(PALETTE):
        return np.array([to_rgba(color) for color in PALETTE[:n]])
    spectrum = matplotlib.colormaps["turbo"](np.linspace(0.03, 0.97, n))
    return spectrum * [0.85, 0.85, 0.85, 1]  # yellow is too light for text


def literal(text) -> str:
    """Return a text that a figure shows literally: dollars begin no formula.

    Names from data pass through this function. Control characters except line breaks
    become spaces, and bytes that are not UTF-8 become escapes. A literal text is
    unchanged.
    """
    text = re.sub(r"[\x00-\x09\x0b-\x1f\x7f]+", " ", str(text))
    text = text.encode("utf-8", "backslashreplace").decode()
    return re.sub(r"(?<!\\)\$", r"\$", text)


def class_names(names: Sequence[str] | None, n: int) -> list[str]:
    """Return the names of `n` classes as literal texts: as given, or their numbers.

    Each is one line of at most `LONGEST` letters.
    """
    names = [
        str(name).replace("\n", " ") for name in (range(n) if names is None else names)
    ]
    short = [n if len(n) <= LONGEST else n[: LONGEST - 1] + "…" for n in names]
    return [literal(name) for name in short]


def spaced(figure: Figure, *, w_pad: float, h_pad: float | None = None) -> None:
    """Set the pads, in inches, between the parts of a figure of `new_figure`."""
    engine = figure.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine)
    engine.set(w_pad=w_pad, h_pad=h_pad)


def new_figure(width: float, height: float, title: str = "") -> Figure:
    """Return an empty figure of `width` × `height` inches whose parts don't overlap."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout="compressed")
    spaced(figure, w_pad=0.1, h_pad=0.1)
    FigureCanvasAgg(figure)
    if title:
        figure.suptitle(literal(title), fontsize=TITLE, color=INK)
    return figure


def tidy(axes: Axes, xlabel: str = "", ylabel: str = "", title: str = "") -> None:
    """Set labels of one size, a faint grid, and no frame above or to the right."""
    axes.set_xlabel(literal(xlabel), fontsize=TEXT)
    axes.set_ylabel(literal(ylabel), fontsize=TEXT)
    axes.set_title(literal(title), fontsize=TITLE, color=INK)
    axes.tick_params(which="both", labelsize=SMALL, color=FAINT)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.grid(color=FAINT, linewidth=0.5, alpha=0.6)
    axes.set_axisbelow(True)


def to_rgb(figure: Figure) -> np.ndarray:
    """Return the drawn figure, uint8 [H, W, 3]; letters without a glyph are boxes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.canvas.draw()
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def save(rgb: np.ndarray, path: str | Path) -> None:
    """Write a drawn figure, uint8 [H, W, 3], as PNG; equal figures give equal bytes."""
    Image.fromarray(rgb).save(path, format="png")
