"""Objectives of metric learning: of pairs and triplets, of whole batches, of proxies.

An objective is a Flax module: `objective.apply(vars, embeddings [B, D], labels [B])`
returns a `LossOutput`. `make_loss` builds one from the plain values of a config. All
losses of `LOSSES` and miners of `MINERS` are names of this package. A pair loss, such
as `Triplet`, becomes an objective by `PairObjective`:

>>> import jax
>>> import jax.numpy as jnp
>>> objective = PairObjective(Triplet(0.5), num_classes=2, miner=SemiHard())
>>> embeddings = jnp.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
>>> labels = jnp.array([0, 0, 1])
>>> round(float(jax.jit(objective.apply)({}, embeddings, labels).loss), 3)
0.238
"""

from nfml_jax.losses import make
from nfml_jax.losses.make import *  # noqa: F403  (its names follow from LOSSES)
from nfml_jax.losses.objective import LossOutput
from nfml_jax.losses.pair_loss import PairLoss, Pairs, Row
from nfml_jax.losses.pair_objective import PairObjective
from nfml_jax.losses.plain import loss_value
from nfml_jax.losses.two_views import two_views

__all__ = ["LossOutput", "PairLoss", "PairObjective", "Pairs", "Row"]
__all__ += ["loss_value", "two_views"]
__all__ += make.__all__
