"""Draw the geometry of margins, losses and metrics: `nfml geometry NAME -o FILE`.

metric_balls: unit balls of learned metrics on two columns of a real set; pair_regions:
the effect of contrastive and triplet loss on a point beside an anchor;
decision_boundaries: two classes and the margin between them, for five heads;
target_logits: the logit that every head puts in place of cos θ. All are drawn from the
values of the library's own functions.
"""

import warnings
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from nfml_jax import plots
from nfml_jax.cli.command import command, make_parser, writing
from nfml_jax.data.vectors.load import load_vectors
from nfml_jax.evaluation.neighbors import knn_accuracy
from nfml_jax.heads import MARGINS
from nfml_jax.losses import Contrastive, Easy, Hard, SemiHardBand, Triplet
from nfml_jax.losses.metrics import METRICS
from nfml_jax.mahalanobis import METRIC_LEARNERS
from nfml_jax.ops.names import look_up

# Columns of a set in which two classes differ and that correlate within both.
BALLS_SET, BALLS_COLUMNS = (
    "breast_cancer",
    ("mean compactness", "mean fractal dimension"),
)
BALLS = ("euclidean", "covariance", "nca", "lmnn", "itml")
NEIGHBORS = 5
BALL_RADIUS = 0.3
"""The radius of the Euclidean ball; the others have its area."""

HEADS = ("softmax", "normface", "sphereface", "cosface", "arcface")
WEIGHT_NORMS = 1.0, 0.6
"""The norms of the two classes' weights, where a head leaves them theirs."""
GRID = 301

MARGINS_SHOWN = 1.5, 0.8  # margins of contrastive and triplet loss
POSITIVE = 1.0, 0.0
AROUND = (-2.4, 2.4), (-2.4, 2.4)

# Norms of embeddings and normal draws at which margins per example are shown.
EXAMPLES = ((10.0, -1.0), (20.0, 0.0), (110.0, 1.0))


def metric_balls() -> Figure:
    """Draw balls of equal area under each learner, among held-out rows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about data unfit for a density
        data = load_vectors(BALLS_SET)
    chosen = [data.columns.index(name) for name in BALLS_COLUMNS]
    x, labels = data.train[:, chosen].astype(np.float64), data.given["train"]
    context, validation = data.context, data.validation
    assert context is not None and validation is not None  # it has classes and parts
    held_out = np.concatenate([validation, data.test])[:, chosen]
    theirs = np.concatenate([data.given["validation"], data.given["test"]])
    matrices = {}
    for name in BALLS:
        matrix = METRIC_LEARNERS[name](x, labels)
        accuracy = knn_accuracy(
            x @ matrix.T, labels, held_out @ matrix.T, theirs, NEIGHBORS, "euclidean"
        )
        size = np.sqrt(abs(np.linalg.det(matrix)))
        matrices[f"{name}\n{NEIGHBORS}-NN {accuracy:.1%}"] = matrix / (
            size * BALL_RADIUS
        )
    low, high = np.quantile(x, [0.2, 0.8], axis=0)
    centers = [low, high, (low[0], high[1]), (high[0], low[1])]
    classes = context.classes
    names = [f"{name}\n(standardized)" for name in BALLS_COLUMNS]
    return plots.metric_balls(matrices, centers, held_out, theirs, classes, names)


def pair_regions() -> Figure:
    """Draw a point's loss as a positive and a negative, and a miner's negatives."""
    size = 501
    grid = jnp.asarray(plots.grid_points(AROUND, size))
    anchor = jnp.zeros((1, 2))
    contrastive = Contrastive(margin=MARGINS_SHOWN[0])
    # Each point is evaluated with the anchor as one pair, of either kind.
    distance = jax.jit(METRICS[contrastive.metric].values)(grid, anchor)
    lost = jax.jit(lambda *masks: contrastive.rows(distance, *masks).loss.sum(axis=0))
    one, none = np.ones((size**2, 1), bool), np.zeros((size**2, 1), bool)
    losses = {
        "contrastive: a positive": lost(one, none),
        f"contrastive: a negative, m = {MARGINS_SHOWN[0]}": lost(none, one),
    }
    losses = {name: _square(values) for name, values in losses.items()}
    values = jax.jit(METRICS[Triplet.metric].values)
    distances = values(anchor, grid)
    at = values(anchor, jnp.asarray([POSITIVE]))[0]
    graded = {
        "hard": Hard(),
        "semi-hard": SemiHardBand(margin=MARGINS_SHOWN[1]),
        "easy": Easy(margin=MARGINS_SHOWN[1]),
    }
    regions = {
        name: _square(miner.negatives(distances, at, one.T, None))
        for name, miner in graded.items()
    }
    points = {"anchor": (0.0, 0.0), "positive": POSITIVE}
    title = f"triplet: a negative, m = {MARGINS_SHOWN[1]}"
    return plots.pair_regions(losses, regions, AROUND, points, title)


def _square(values) -> np.ndarray:
    """Return values at the points of a grid, one after another, as a square array."""
    size = round(np.sqrt(np.size(values)))
    return np.asarray(values).reshape(size, size)


def decision_boundaries() -> Figure:
    """Draw two classes in the plane of their angles, and of their cosines."""
    degrees, cosines = np.linspace(0, 180, GRID), np.linspace(-1, 1, GRID)
    axes = {
        "angle": (degrees, "θ₁, degrees", "θ₂, degrees"),
        "cosine": (cosines, "cos θ₁", "cos θ₂"),
    }
    sides = {"angle": np.cos(np.radians(degrees)), "cosine": cosines}
    rows = {
        space: {
            _named(name): gaps(MARGINS[name](), *np.meshgrid(c, c)) for name in HEADS
        }
        for space, c in sides.items()
    }
    return plots.decision_regions(rows, axes)


def gaps(margin, first, second) -> tuple[np.ndarray, np.ndarray]:
    """Return the lead of class 1, and of class 2, where it is the target.

    Leads are in units of the scale, at cosines with the two classes.
    """
    norms = (1.0, 1.0) if margin.normalize_weights else WEIGHT_NORMS
    target = jax.jit(margin.target)
    pairs = (first, second, *norms), (second, first, *norms[::-1])
    return tuple(
        np.asarray(target(own)) * norm - other * norm_of_other
        for own, other, norm, norm_of_other in pairs
    )


def _named(name) -> str:
    kind = MARGINS[name]
    if not (kind.normalize_weights or kind().numbers()):
        return f"{name}\n‖w₁‖ > ‖w₂‖"
    return f"{name}\n{kind().formula()}"


def target_logits() -> Figure:
    """Draw φ of every head; heads that agree share a curve."""
    degrees = np.linspace(0, 180, 721)
    cosine = jnp.cos(jnp.radians(degrees))
    alike: list[tuple[list[str], np.ndarray]] = []
    of_examples = {}
    for name, kind in MARGINS.items():
        curves = np.asarray(_phi(kind(), cosine))
        if np.ptp(curves, axis=0).max() > 1e-3:
            of_examples[name] = curves
            continue
        for names, curve in alike:
            if np.allclose(curve, curves[0], atol=1e-4):
                names.append(name)
                break
        else:
            alike.append(([name], curves[0]))
    panels = {
        "one margin for all": {_listed(names): curve for names, curve in alike},
        "a margin of each example's own": of_examples,
    }
    variants = [f"norm {norm:g}, draw {draw:g}" for norm, draw in EXAMPLES]
    return plots.target_logits(panels, degrees, variants)


@partial(jax.jit, static_argnames="margin")
def _phi(margin, cosine):
    """Return φ `[examples, A]` of each of `EXAMPLES` at cosines `[A]`."""

    def of_example(norm, noise):
        like = jnp.ones_like(cosine)
        return margin.for_examples(cosine, norm * like, noise * like).target(cosine)

    return jnp.stack([of_example(*example) for example in EXAMPLES])


def _listed(names) -> str:
    """Return names with commas, three in a line."""
    lines = [", ".join(names[i : i + 3]) for i in range(0, len(names), 3)]
    return ",\n".join(lines)


FIGURES = {
    "metric_balls": metric_balls,
    "pair_regions": pair_regions,
    "decision_boundaries": decision_boundaries,
    "target_logits": target_logits,
}


@command
def main(arguments=None) -> None:
    """Run the command `nfml geometry`."""
    parser = make_parser("geometry", __doc__)
    parser.add_argument("name", help=f"one of {', '.join(FIGURES)}")
    parser.add_argument("-o", "--output", type=Path, help="default: NAME.png")
    options = parser.parse_args(arguments)
    output = options.output or Path(f"{options.name}.png")
    rgb = plots.to_rgb(look_up(FIGURES, options.name, "figure")())
    with writing(output):
        plots.save(rgb, output)
    print(f"Wrote {output}.")
