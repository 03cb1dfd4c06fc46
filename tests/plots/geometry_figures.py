"""Cases of the figures of metrics, margins and losses, for test_plots."""

import numpy as np

RNG = np.random.default_rng(0)
SIDE = np.linspace(-1, 1, 21)
FIRST, SECOND = np.meshgrid(SIDE, SIDE)
LIMITS = (-1, 1), (-1, 1)
GAP = FIRST - SECOND - 0.3, SECOND - FIRST - 0.3


def balls(f, **more):
    matrices = {"euclidean": np.eye(2), "long": np.array([[1, 0], [5, 9.0]])}
    points, labels = RNG.normal(size=(50, 2)), np.arange(50) % 2
    return f(matrices, np.zeros((1, 2)), points, labels, **more)


GEOMETRY_FIGURES = {
    "metric_balls": {
        "usual": lambda f: balls(f, class_names=["one", "two"], columns=("a", "b")),
        "one point": lambda f: f({"L": np.eye(2)}, [[0, 0]], np.ones((1, 2)), [0]),
    },
    "decision_regions": {
        "usual": lambda f: f(
            {space: {"a\ncos θ": GAP, "b": GAP} for space in ("angle", "cosine")},
            {space: (SIDE, "θ₁", "θ₂") for space in ("angle", "cosine")},
        ),
        "nothing won, all won": lambda f: f(
            {"s": {"a": (-np.ones((21, 21)), np.ones((21, 21)))}},
            {"s": (SIDE, "", "")},
        ),
    },
    "pair_regions": {
        "usual": lambda f: f(
            {"a positive": FIRST**2 + SECOND**2},
            {"hard": FIRST < 0, "semi-hard": FIRST > 0.5, "easy": FIRST > 2},
            LIMITS,
            {"anchor": (0, 0)},
            "a negative",
        ),
        "nothing costs": lambda f: f({"a": 0 * FIRST}, {"b": FIRST < 0}, LIMITS, {}),
    },
    "target_logits": {
        "usual": lambda f: f(
            {
                "one": {f"{i}": i * SIDE / 9 for i in range(10)},
                "each": {"a": np.stack([SIDE, -SIDE])},
            },
            np.linspace(0, 180, 21),
            ("low", "high"),
        ),
        "one": lambda f: f({"": {"a": -9 * (SIDE + 2)}}, np.linspace(0, 180, 21)),
    },
}
