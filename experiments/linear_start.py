"""The start of the linear part of an embedding: Fisher's axes of the pictures.

The axes are fit on training pictures, and on their mirror images where training
mirrors. Their size follows from how well they separate classes that they were not fit
on: near zero where objects lie anywhere in the picture, and that of the network's part
where faces are aligned.
"""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.settings import PictureSettings
from nfml_jax.data import ImageData, to_float
from nfml_jax.data.draws import stratified
from nfml_jax.evaluation import baselines, verification
from nfml_jax.nets.layers import coarse_rows, standardize

COMPONENTS = 256
CHUNK = 256


def differs(before: PictureSettings, after: PictureSettings) -> bool:
    """Return True if two runs on the same pictures differ in their linear start."""
    same = before.encoder == after.encoder
    return not same or before.augment.flip != after.augment.flip


def start(images: ImageData, settings: PictureSettings) -> dict[str, jax.Array]:
    """Return "kernel" [P, K] and "bias" [K] of the linear part, K = encoder.linear.

    It has neither where an encoder has no such part. The values have at most the mean
    squared norm of a normalized embedding of the network's part. At most
    `baselines.ROWS` training pictures are used.
    """
    encoder, train = settings.encoder, images.train
    size = encoder.options.get("linear", 0)
    if not size:
        return {}
    if len(train) > baselines.ROWS:
        train = train.take(stratified(train.labels, baselines.ROWS)[0])
    how = encoder.options.get("standardize", "none")
    copies = _copies(train.images, how, settings.augment.flip)
    mean, axes = _fit(copies, train.labels)
    axes = axes[:, :size]
    values = (copies[0] - mean) @ axes
    wanted = (encoder.embedding_size - size) * worth(copies, train.labels) ** 2
    axes = axes * np.sqrt(wanted / max((values**2).sum(axis=1).mean(), 1e-12))
    kernel = np.pad(axes, [(0, 0), (0, size - axes.shape[1])])
    return {
        "kernel": jnp.asarray(kernel, jnp.float32),
        "bias": jnp.asarray(-mean @ kernel, jnp.float32),
    }


def worth(copies, labels) -> float:
    """Return a score from 0 to 1 of the axes on classes that they were not fit on.

    Axes are fit on every other class, and pairs of the remaining classes are ranked.
    The score is 0 for an area under the ROC of 1/2, and 1 from 3/4 on. With too few
    classes to measure it is 1.
    """
    found = []
    odd = np.unique(labels, return_inverse=True)[1] % 2 == 1
    for known in (odd, ~odd):
        unknown = labels[~known]
        enough = len(np.unique(labels[known])) > 1
        if enough and verification.has_pairs(unknown):
            mean, axes = _fit([rows[known] for rows in copies], labels[known])
            rows = (copies[0][~known] - mean) @ axes
            if axes.shape[1]:
                found.append(verification.all_pairs(rows, unknown).roc().auc)
    return float(np.clip(4 * np.mean(found) - 2, 0, 1)) if found else 1.0


def _fit(copies, labels):
    rows = np.concatenate(copies)
    return baselines.discriminants(rows, np.tile(labels, len(copies)), COMPONENTS)


def _copies(pictures, how, mirrored) -> list[np.ndarray]:
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
    if mirrored:
        found.append(of_all(lambda x: x[:, :, ::-1]))
    return found
