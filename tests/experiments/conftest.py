"""Experiments are tested without drawing, but where a test asks for it."""

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

DRAW = FigureCanvasAgg.draw


@pytest.fixture(scope="module", autouse=True)
def white(undrawn):
    """Every figure."""


@pytest.fixture
def drawn(monkeypatch):
    """But here figures are drawn."""
    monkeypatch.setattr(FigureCanvasAgg, "draw", DRAW)
