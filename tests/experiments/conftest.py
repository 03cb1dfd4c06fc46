"""Experiments are tested without drawing: how figures look is tests/plots' business."""

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

DRAW = FigureCanvasAgg.draw


@pytest.fixture(scope="module", autouse=True)
def undrawn():
    """Figures stay white."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FigureCanvasAgg, "draw", FigureCanvasAgg.get_renderer)
        yield


@pytest.fixture
def drawn(monkeypatch):
    """But here they are drawn."""
    monkeypatch.setattr(FigureCanvasAgg, "draw", DRAW)
