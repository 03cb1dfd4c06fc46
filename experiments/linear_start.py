"""What the linear part of an embedding starts from: Fisher's axes of the pictures.

They are fit on training pictures, and their mirror images where training mirrors. How
much they are worth on classes that they are not fit on decides their size: nothing
where pictures show things in any place, as much as the network where faces are aligned.
"""

import jax
import jax.numpy as jnp
import numpy as np

from nfml_jax.data import ImageData, to_float
from nfml_jax.data.arrays import stratified
from nfml_jax.evaluation import baselines, verification
from nfml_jax.nets.layers import coarse_rows, standardize

COMPONENTS = 256
CHUNK = 256


def differs(before: dict, config: dict) -> bool:
    """Return True if two configs start from other linear parts of the same pictures."""
    given = [(c["encoder"], c["augment"].get("flip")) for c in (before, config)]
    return given[0] != given[1]


def start(images: ImageData, config: dict) -> dict[str, jax.Array]:
    """Return "kernel" [P, K] and "bias" [K] of the linear part, K = encoder.linear.

    It has neither where an encoder has no such part. The values have at most the mean
    squared norm of a normalized embedding of the network's part. At most
    `baselines.ROWS` training pictures are used.
    """
    encoder, train = config["encoder"], images.train
    size = encoder.get("linear", 0)
    if not size:
        return {}
    if len(train) > baselines.ROWS:
        train = train.take(stratified(train.labels, baselines.ROWS)[0])
    copies = _copies(train.images, encoder.get("standardize", "none"), config)
    mean, axes = _fit(copies, train.labels)
    axes = axes[:, :size]
    values = (copies[0] - mean) @ axes
    wanted = (encoder["embedding_size"] - size) * worth(copies, train.labels) ** 2
    axes = axes * np.sqrt(wanted / max((values**2).sum(axis=1).mean(), 1e-12))
    kernel = np.pad(axes, [(0, 0), (0, size - axes.shape[1])])
    return {
        "kernel": jnp.asarray(kernel, jnp.float32),
        "bias": jnp.asarray(-mean @ kernel, jnp.float32),
    }


def worth(copies, labels) -> float:
    """Return between 0 and 1 how well the axes tell classes that they don't know.

    They are fit on every other class, and the pairs of the rest are ranked: 0 if the
    area under their ROC is 1/2, 1 from 3/4 on. It is 1 where classes are too few to
    tell.
    """
    found = []
    odd = np.unique(labels, return_inverse=True)[1] % 2 == 1
    for known in (odd, ~odd):
        strangers = labels[~known]
        enough = len(np.unique(labels[known])) > 1
        if enough and verification.has_pairs(strangers):
            mean, axes = _fit([rows[known] for rows in copies], labels[known])
            rows = (copies[0][~known] - mean) @ axes
            if axes.shape[1]:
                found.append(verification.all_pairs(rows, strangers).roc().auc)
    return float(np.clip(4 * np.mean(found) - 2, 0, 1)) if found else 1.0


def _fit(copies, labels):
    rows = np.concatenate(copies)
    return baselines.discriminants(rows, np.tile(labels, len(copies)), COMPONENTS)


def _copies(pictures, how, config) -> list[np.ndarray]:
    """Return rows [N, P] of the pictures, and of their mirror images if asked for."""

    @jax.jit
    def rows(batch):
        return coarse_rows(standardize(to_float(batch), how))

    def of_all(turn):
        chunks = [
            turn(np.asarray(pictures[i : i + CHUNK]))
            for i in range(0, len(pictures), CHUNK)
        ]
        return np.concatenate([np.asarray(rows(chunk)) for chunk in chunks])

    found = [of_all(lambda x: x)]
    if config["augment"].get("flip"):
        found.append(of_all(lambda x: x[:, :, ::-1]))
    return found
