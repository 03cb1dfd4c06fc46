"""Every figure draws without a warning and within its canvas, whatever it is given."""

import inspect
import warnings

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from nfml_jax import plots
from nfml_jax.evaluation import (
    accept_rates,
    classification,
    identification,
    verification,
)
from nfml_jax.plots import style
from tests.plots.density_figures import DENSITY_FIGURES
from tests.plots.geometry_figures import GEOMETRY_FIGURES


def embedded(n: int, classes: int, dimensions: int):
    """Embeddings, labels and class weights of another length."""
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(classes, dimensions))
    labels = rng.integers(0, classes, n)
    x = 20 * weights[labels] + rng.normal(size=(n, dimensions))
    return x.astype(np.float32), labels, weights


NAMES = [*"012345678", "a rather long class name"]
RNG = np.random.default_rng(0)
SHARES = RNG.dirichlet((1, 1), 90)
DRAWN = RNG.integers(0, 17, (10, 4, 6, 1))
ROC = accept_rates.roc(RNG.normal(1, 1, 300), RNG.normal(-1, 1, 900))
PERFECT = accept_rates.roc([0.9], [0.1])
PAIRS = verification.all_pairs(*embedded(50, 3, 4)[:2])
SEARCHED = identification.search(*embedded(400, 12, 3)[:2], np.eye(9, 3), np.arange(9))
ONE = identification.search([[1, 0], [0, 1]], [0, 1], [[1, 0]], [0])
ROWS = [
    {"step": s, "train/loss": 1 / (s + 1), "train/accuracy": 0.5} for s in range(40)
]

FIGURES = {
    "embeddings_2d": {
        "usual": lambda f: f(*embedded(300, 10, 2), NAMES, "ArcFace on MNIST"),
        "hundred classes": lambda f: f(*embedded(300, 100, 2)),
        "one class": lambda f: f(np.ones((4, 2)), np.zeros(4, int)),
        "one point at the origin": lambda f: f(np.zeros((1, 2)), [0], np.eye(2)),
        "no point": lambda f: f(np.zeros((0, 2)), np.zeros(0, int), np.eye(2)),
        "more points than drawn": lambda f: f(*embedded(10_001, 3, 2)),
    },
    "embeddings_3d": {
        "usual": lambda f: f(*embedded(300, 10, 3), NAMES, "ArcFace on MNIST"),
        "hundred classes": lambda f: f(*embedded(300, 100, 3)),
        "zero and few": lambda f: f(np.zeros((2, 3)), [0, 1]),
    },
    "embedding_gallery": {
        "five": lambda f: f([(c, *embedded(60, 10, 2)) for c in "ABCDE"], NAMES, "All"),
        "one, no weights": lambda f: f([("A", np.ones((1, 2)), np.array([0]), None)]),
    },
    "angle_histograms": {
        "usual": lambda f: f(RNG.uniform(0, 40, 99), RNG.uniform(30, 180, 99), "A"),
        "one angle": lambda f: f([0.0]),
        "ends": lambda f: f([0.0, 180.0], [180.0, 180.0]),
    },
    "pair_histograms": {
        "scores": lambda f: f(RNG.uniform(0, 1, 99), RNG.uniform(-1, 1, 99), title="P"),
        "counts": lambda f: f(PAIRS.genuine, PAIRS.impostor, PAIRS.edges, 0.5),
        "one of each": lambda f: f([1.0000001], [-1.0]),
    },
    "roc_curve": {
        "one": lambda f: f(ROC, "ROC"),
        "several": lambda f: f({"softmax": ROC, "ArcFace": PERFECT}),
        "perfect": lambda f: f(PERFECT),
        "reversed": lambda f: f(accept_rates.roc([0.1], [0.9])),
    },
    "det_curve": {
        "one": lambda f: f(ROC, "DET"),
        "several": lambda f: f({"softmax": ROC, "ArcFace": PERFECT}),
        "perfect": lambda f: f(PERFECT),
        "reversed": lambda f: f(accept_rates.roc([0.1], [0.9])),
    },
    "cmc_curve": {
        "one": lambda f: f(SEARCHED, 5, "CMC"),
        "several": lambda f: f({"softmax": SEARCHED, "ArcFace": ONE}),
        "one identity": lambda f: f(ONE),
    },
    "open_set_curve": {
        "one": lambda f: f(SEARCHED.open_set(), "Open set"),
        "several": lambda f: f({"softmax": SEARCHED.open_set(), "b": ONE.open_set()}),
    },
    "confusion_matrix": {
        "usual": lambda f: f(RNG.integers(0, 2000, (10, 10)), NAMES, "Confusion"),
        "hundred classes": lambda f: f(np.eye(100, dtype=int)),
        "one class": lambda f: f(np.array([[0]])),
    },
    "learning_curves": {
        "usual": lambda f: f([*ROWS, {"step": 39, "test/accuracy": 0.9}], "Run"),
        "one row": lambda f: f(ROWS[:1]),
        "nothing": lambda f: f([]),
        "diverged": lambda f: f([{"step": 1, "train/loss": float("nan")}]),
    },
    "image_grids": {
        "gray and colors": lambda f: f(
            {
                "a title of $s$": RNG.integers(0, 17, (9, 4, 6, 1)),
                "b": RNG.integers(0, 17, (2, 3, 3, 3)),
            },
            16,
        ),
        "one pixel, not finite": lambda f: f({"": np.full((1, 1, 1, 1), np.nan)}, 1),
    },
    "image_rows": {
        "captions": lambda f: f(
            {"a": DRAWN[:5], "two\nlines of $s$": DRAWN[5:]},
            16,
            "Rows",
            {"a": ["1.0"] * 5},
        ),
        "one pixel, not finite": lambda f: f({"": np.full((1, 1, 1, 1), np.nan)}, 1),
    },
    "bits_histogram": {
        "usual": lambda f: f(RNG.gamma(9, 0.1, 10), DRAWN, 16, {"bz2": 1.4}, "MNIST"),
        "not finite": lambda f: f([np.nan, 1.0], DRAWN[:2], 16),
        "none finite": lambda f: f([np.inf], DRAWN[:1], 16),
    },
    "bits_by_part": {
        "usual": lambda f: f(
            {"14×14×4": {"maps": -5.0, "latents": 2.0}, "levels": {"noise": 8.0}}, "A"
        ),
        "one of nothing": lambda f: f({"a": {"b": 0.0}}),
    },
    "log_det_use": {
        "usual": lambda f: f(NAMES, RNG.uniform(0, 0.4, (10, 9)), "A", [*"aabbbccccc"]),
        "one": lambda f: f(["a"], [[0.0]]),
    },
    "reliability_diagram": {
        "usual": lambda f: f(
            classification.reliability(np.log(SHARES), np.arange(90) % 2), "MNIST"
        ),
        "one": lambda f: f(classification.reliability(np.log([[0.3, 0.7]]), [0])),
    },
    **DENSITY_FIGURES,
    **GEOMETRY_FIGURES,
}
CASES = [(name, case) for name, cases in FIGURES.items() for case in cases]


def draw(name: str, case: str) -> Figure:
    return FIGURES[name][case](getattr(plots, name))


def test_every_figure_of_the_package_is_listed_here():
    functions = filter(inspect.isfunction, (getattr(plots, n) for n in plots.__all__))
    made = {
        function.__name__
        for function in functions
        if inspect.signature(function).return_annotation is Figure
    }
    assert made == set(FIGURES)


@pytest.mark.parametrize(("name", "case"), CASES)
def test_figure_draws_within_its_canvas_without_warning(name, case):
    settings = dict(matplotlib.rcParams)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = draw(name, case)
        image = plots.to_rgb(figure)
    assert isinstance(figure, Figure)
    assert dict(matplotlib.rcParams) == settings
    width, height = figure.get_size_inches()
    assert image.shape == (round(height * style.DPI), round(width * style.DPI), 3)
    drawn = figure.get_tightbbox(figure.canvas.get_renderer())
    assert drawn.x0 >= 0
    assert drawn.y0 >= 0
    assert drawn.x1 <= width
    assert drawn.y1 <= height
    # Nothing touches the border, and something is drawn.
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    assert (border == 255).all()
    assert image.std() > 1


ODD = ["price_$5_to_$10", "$$", r"a\$b$c", "{x}_^2", "_hidden", "two\nlines", "\udce9"]
SHOWN = ["price_$5_to_$10", "$$", r"a$b$c", "{x}_^2", "_hidden", "two lines", "\\udce9"]
NAMED = {
    "embeddings_2d": lambda f, n: f(*embedded(9, 7, 2), n, n[0]),
    "embeddings_3d": lambda f, n: f(*embedded(9, 7, 3), n, n[0]),
    "embedding_gallery": lambda f, n: f([(n[0], *embedded(9, 7, 2))], n, n[0]),
    "confusion_matrix": lambda f, n: f(np.eye(7, dtype=int), n, n[0]),
    "metric_balls": lambda f, n: f(
        {n[0]: np.eye(2)}, [[0, 0]], np.eye(7, 2), np.arange(7), n, n[:2]
    ),
    "marginals": lambda f, n: f(RNG.normal(size=(9, 7)), None, n, n[0]),
}
CURVES = {
    "roc_curve": lambda f, n: f(dict.fromkeys(n, ROC), n[0]),
    "det_curve": lambda f, n: f(dict.fromkeys(n, ROC), n[0]),
    "cmc_curve": lambda f, n: f(dict.fromkeys(n, SEARCHED), 5, n[0]),
    "open_set_curve": lambda f, n: f(dict.fromkeys(n, SEARCHED.open_set()), n[0]),
    "samples_2d": lambda f, n: f(dict.fromkeys(n, np.eye(2)), n[0]),
    "learning_curves": lambda f, n: f([{"step": 1} | {f"{x}loss": 1 for x in n}], n[0]),
    "density_gallery": lambda f, n: f(
        {n[0]: {n[1]: np.eye(9)}}, {n[1]: ((0, 1), (0, 1))}, n[0]
    ),
    "target_logits": lambda f, n: f(
        {n[0]: {n[1]: np.zeros((2, 9))}}, np.arange(9), n[:2]
    ),
}


@pytest.mark.parametrize("name", [*NAMED, *CURVES])
def test_names_from_data_are_drawn_as_they_are(name):
    names = ODD if name in NAMED else ODD[:2]
    figure = (NAMED | CURVES)[name](getattr(plots, name), names)
    plots.to_rgb(figure)
    texts = [text for text in figure.findobj(Text) if text.get_visible()]
    seen = {text._preprocess_math(text.get_text())[0] for text in texts}
    if name in NAMED:
        assert set(SHOWN) <= seen
    else:
        assert all(any(known in text for text in seen) for known in SHOWN[:2])


def test_long_names_leave_room_for_the_figure():
    image = plots.to_rgb(plots.confusion_matrix(np.eye(2, dtype=int), ["n" * 300, "b"]))
    assert image.std() > 20


def test_no_figure_needs_pyplot(tmp_path):
    import subprocess
    import sys

    code = "from nfml_jax.plots import *; import sys\n"
    code += "sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_equal_figures_are_equal_files(tmp_path):
    for path in ("a.png", "b.png"):
        figure = draw("embeddings_2d", "more points than drawn")
        plots.save(plots.to_rgb(figure), tmp_path / path)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_at_most_ten_thousand_points_are_drawn():
    axes = draw("embeddings_2d", "more points than drawn").axes[0]
    assert len(axes.collections[0].get_offsets()) == 10_000


@pytest.mark.parametrize("n", [10, 100])
def test_colors_are_distinct(n):
    apart = np.abs(style.colors(n)[:, None] - style.colors(n)[None]).sum(axis=-1)
    assert (apart + np.eye(n) > (0.25 if n == 10 else 0.005)).all()
