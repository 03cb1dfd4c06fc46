"""The parts that all metric learners share: checked input, float64, and one optimizer.

A learner is a function of rows `[N, D]` and labels `[N]` that returns L `[rank, D]`.
"""

import functools
import warnings
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import scipy
from jax import lax

from nfml_jax.errors import UserError
from nfml_jax.evaluation.inputs import check_digits, without_common_part
from nfml_jax.ops.broadcasting import broadcasting
from nfml_jax.ops.checks import check_integer
from nfml_jax.ops.labels import check_labels

CHUNK = 256
"""The number of rows whose distances to all others are held at a time."""

UNMOVED = 1e-6
"""The change of L, in units of its largest entry, below which nothing was learned."""


def learner(fit: Callable) -> Callable:
    """Return `fit(x, labels, **options)` as a learner of checked rows and labels.

    `fit` gets rows in float64 and labels in int32. Columns whose mean is large relative
    to their spread are centered, which changes no distance. It runs in float64 whatever
    JAX's default is, because the inverse of a covariance needs the digits, and the sets
    are small. The learner returns a numpy array.
    """

    @functools.wraps(fit)
    def fitted(x, labels, **options) -> np.ndarray:
        x = check_digits(x, "rows").astype(np.float64)
        x, _ = without_common_part(x, x)
        labels = check_labels(labels, len(x))
        with jax.enable_x64(True):
            matrix = np.asarray(broadcasting(fit)(x, labels, **options))
        if not np.isfinite(matrix).all():
            raise UserError(
                f"{fit.__name__} gave a metric that is not finite; standardize the "
                "columns, and take out those that hardly vary."
            )
        return matrix

    return fitted


def check_neighbors(labels: np.ndarray, name: str) -> None:
    """Raise UserError unless there are two classes, one of which has two rows."""
    counts = np.unique(labels, return_counts=True)[1]
    if len(counts) < 2 or counts.max() < 2:
        raise UserError(
            f"{name} got {len(labels)} rows of {len(counts)} classes; expected two "
            "classes or more, one of them with two rows or more."
        )


def initial_matrix(x: np.ndarray, rank: int | None) -> np.ndarray:
    """Return the L `[rank, D]` that a search begins with, for rows `[N, D]`.

    It is the identity for a rank of None, and else the first `rank` principal axes.
    """
    dimensions = x.shape[1]
    if rank is None:
        return np.eye(dimensions)
    if not 1 <= rank <= dimensions:
        raise UserError(
            f"rank is {rank!r}; expected 1 to the {dimensions} dimensions of the rows, "
            "or None for all of them."
        )
    return np.linalg.svd(x - x.mean(axis=0), full_matrices=False)[2][:rank]


def mean_over_rows(of_chunk: Callable, count: int) -> jax.Array:
    """Return the mean of `of_chunk(rows)` `[CHUNK]` over all rows, chunk by chunk.

    `rows` `[CHUNK]` are row numbers. Those from `count` on are padding that does not
    count. The backward pass computes each chunk again, so at most `CHUNK` × N distances
    are held.
    """
    chunks = -(-count // CHUNK)

    @jax.checkpoint
    def one(rows):
        values = of_chunk(jnp.minimum(rows, count - 1))
        return jnp.sum(jnp.where(rows < count, values, 0))

    rows = jnp.arange(chunks * CHUNK).reshape(chunks, CHUNK)
    return jnp.sum(lax.map(one, rows)) / count


def plain_squared_distances(a: jax.Array, b: jax.Array) -> jax.Array:
    """Return ‖a_i - b_j‖² `[N, M]` of `[N, D]` and `[M, D]`, never below zero.

    It is one matrix product, and enough in float64; `nfml_jax.ops.distances` is for
    float32.
    """
    squares = jnp.sum(a * a, axis=1)[:, None] + jnp.sum(b * b, axis=1)
    return jnp.maximum(squares - 2 * a @ b.T, 0)


@functools.partial(jax.jit, static_argnames="objective")
def value_and_grad(objective: Callable, matrix, *data):
    """Return the value and gradient of `objective(L, *data)`, compiled once."""
    return jax.value_and_grad(objective)(matrix, *data)


def warn_if_unmoved(name: str, matrix: np.ndarray, first: np.ndarray) -> None:
    """Warn that a learner has learned nothing if its result is where it began."""
    if np.abs(matrix - first).max() <= UNMOVED * np.abs(first).max():
        warnings.warn(
            f"{name} learned nothing: its metric is the one it began with. Its "
            "objective is flat for rows of this size, or can't be improved; divide the "
            "columns by their standard deviations, or the rows by a number.",
            stacklevel=4,
        )


def minimize(
    name: str, objective: Callable, matrix: np.ndarray, *data, steps: int
) -> np.ndarray:
    """Return the L that minimizes `objective(L, *data)`, found by L-BFGS from `matrix`.

    At most `steps` steps with a line search are taken (Byrd et al. 1995, without
    bounds). Sums over rows are compiled, and the few numbers of L are optimized on the
    host. If L does not move, a warning names the learner.
    """
    check_integer(None, 0, steps=steps)
    if not steps:  # scipy would take one step anyway
        return matrix
    data = jax.device_put(data)

    def on_host(flat):
        value, grad = value_and_grad(objective, flat.reshape(matrix.shape), *data)
        return float(value), np.ravel(grad)

    found = scipy.optimize.minimize(
        on_host,
        matrix.ravel(),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": steps},
    )
    learned = found.x.reshape(matrix.shape)
    warn_if_unmoved(name, learned, matrix)
    return learned
