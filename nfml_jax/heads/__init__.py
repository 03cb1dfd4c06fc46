"""Margin heads for classification, from softmax to the combined margin.

`MarginHead(num_classes=C, margin=ArcFace(0.5), scale=64.0)` is an ordinary Flax
module, and `make_head` builds one from the plain values of a config. All margins of
`MARGINS` are names of this package.

>>> import jax
>>> import jax.numpy as jnp
>>> head = MarginHead(num_classes=3, margin=ArcFace(0.5), scale=64.0)
>>> embeddings, labels = jnp.eye(3), jnp.array([0, 1, 2])
>>> variables = head.init(jax.random.key(0), embeddings, labels)
>>> head.apply(variables, embeddings, labels).loss.shape
(3,)
"""

from nfml_jax.heads import margins
from nfml_jax.heads.head import MarginHead
from nfml_jax.heads.logits import HeadOutput
from nfml_jax.heads.make import make_head, traced_options
from nfml_jax.heads.margins import *  # noqa: F403  (its names follow from MARGINS)
from nfml_jax.heads.outliers import dominant_centers, outliers
from nfml_jax.heads.scale import TargetProbability
from nfml_jax.heads.strength import Annealing, Warmup
from nfml_jax.heads.summation import SUMMATIONS

__all__ = [
    "SUMMATIONS",
    "Annealing",
    "HeadOutput",
    "MarginHead",
    "TargetProbability",
    "Warmup",
    "dominant_centers",
    "make_head",
    "outliers",
    "traced_options",
]
__all__ += margins.__all__
