"""Points, parameters and networks for this project and its peers, by NumPy alone.

A network has one hidden layer of `HIDDEN` units and ReLU: weights `[in, HIDDEN]` and
`[HIDDEN, out]`, as Flax has them, and biases.
"""

import numpy as np

DIM, HIDDEN = 4, 12
BINS, BOUND, LEAST = 5, 3.0, 1e-3
MOST_LOG_SCALE = 5.0  # of this project's affine maps


def points() -> np.ndarray:
    """Points of the line, also at and beyond the ends of the spline."""
    inside = np.random.default_rng(5).uniform(-BOUND, BOUND, 40)
    return np.concatenate([inside, [-9.0, -BOUND, 0.0, BOUND, 9.0]]).astype(np.float32)


def inside() -> np.ndarray:
    """Points well within the bound."""
    return np.linspace(-2.0, 2.0, 41).astype(np.float32)


def events(size: int = DIM) -> np.ndarray:
    """Vectors `[20, size]`."""
    rng = np.random.default_rng(10)
    return (1.5 * rng.normal(size=(20, size))).astype(np.float32)


def numbers(*shape: int, seed: int = 11, scale: float = 0.5) -> np.ndarray:
    """Parameters of a shape."""
    rng = np.random.default_rng(seed)
    return (scale * rng.normal(size=shape)).astype(np.float32)


def spline() -> dict[str, np.ndarray]:
    """Bins of a spline on [-BOUND, BOUND], in numbers from which any library starts.

    Logarithms of `widths` and `heights` `[K]`, before their softmax; the `slopes`
    at all knots `[K + 1]`, the outer ones 1.
    """
    rng = np.random.default_rng(4)
    slopes = np.exp(rng.normal(size=BINS + 1))
    slopes[[0, -1]] = 1.0
    return {
        "widths": rng.normal(size=BINS),
        "heights": rng.normal(size=BINS),
        "slopes": slopes,
    }


def knots(logits: np.ndarray) -> np.ndarray:
    """The edges `[K + 1]` of bins that take at least a share `LEAST` each."""
    share = np.exp(logits) / np.exp(logits).sum()
    share = LEAST + (1 - LEAST * len(logits)) * share
    return 2 * BOUND * np.concatenate([[0.0], np.cumsum(share)]) - BOUND


def softplus_inverse(y):
    """The x of y = log(1 + exp(x))."""
    return y + np.log(-np.expm1(-y))


def raw_slopes(slopes: np.ndarray) -> np.ndarray:
    """This project's parameters of slopes: s = ε + (1 - ε) softplus(raw) / log 2."""
    return softplus_inverse((slopes - LEAST) * np.log(2.0) / (1 - LEAST))


def raw_spline() -> np.ndarray:
    """This project's parameters `[3K - 1]` of the spline with linear tails."""
    parts = spline()
    inner = raw_slopes(parts["slopes"][1:-1])
    return np.concatenate([parts["widths"], parts["heights"], inner])


def raw_log_scale(log_scale):
    """This project's parameter of a log-scale: s = m tanh(raw / m)."""
    return MOST_LOG_SCALE * np.arctanh(np.asarray(log_scale) / MOST_LOG_SCALE)


def network(inputs: int, outputs: int, seed: int) -> tuple[np.ndarray, ...]:
    """Weights and biases: `[in, H]`, `[H]`, `[H, out]`, `[out]`."""
    rng = np.random.default_rng(seed)
    shapes = (inputs, HIDDEN), (HIDDEN,), (HIDDEN, outputs), (outputs,)
    return tuple((0.5 * rng.normal(size=s)).astype(np.float32) for s in shapes)


def masked_network(params: int, seed: int) -> tuple[np.ndarray, ...]:
    """A network of `DIM` inputs whose outputs `[DIM * params]` see what is before."""
    first, bias, last, shift = network(DIM, DIM * params, seed)
    kinds = np.arange(HIDDEN) * (DIM - 1) // HIDDEN  # a unit sees inputs up to its kind
    first = np.where(np.arange(DIM)[:, None] <= kinds, first, 0)
    sees = np.repeat(kinds[:, None] < np.arange(DIM), params, axis=1)
    return first, bias, np.where(sees, last, 0), shift


def swapped(net: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    """A network whose outputs are pairs, with each pair turned round.

    This project's affine maps have a log-scale and a shift, others the reverse.
    """
    *rest, last, shift = net
    last = last.reshape(HIDDEN, -1, 2)[..., ::-1].reshape(HIDDEN, -1)
    return (*rest, last, shift.reshape(-1, 2)[:, ::-1].ravel())
