"""Objectives of metric learning: of pairs and triplets, of whole batches, of proxies.

`make_loss` builds any of them from the plain values of a config; each is a Flax module
with `objective.apply(vars, embeddings [B, D], labels [B], step) -> LossOutput`.
"""

import dataclasses
from collections.abc import Mapping

import flax.linen as nn

from nfml_jax.losses.average_precision import FastAP, SmoothAP
from nfml_jax.losses.center import CenterLoss
from nfml_jax.losses.contrastive import Contrastive
from nfml_jax.losses.histogram import Histogram
from nfml_jax.losses.miners import MINERS, Miner
from nfml_jax.losses.output import LossOutput
from nfml_jax.losses.pair_loss import PairLoss, Pairs, Row
from nfml_jax.losses.pair_objective import PairObjective
from nfml_jax.losses.proxies import ProxyAnchor, ProxyNCA, ProxyNCAPlusPlus
from nfml_jax.losses.soft_triple import SoftTriple
from nfml_jax.losses.softmax_pairs import NCA, NTXent, SupCon
from nfml_jax.losses.two_views import BarlowTwins, VICReg, two_views
from nfml_jax.names import look_up

__all__ = [
    "LOSSES",
    "MINERS",
    "LossOutput",
    "Miner",
    "PairLoss",
    "PairObjective",
    "Pairs",
    "Row",
    "make_loss",
    "two_views",
]

# A subclass of PairLoss, which PairObjective drives; or an objective, a Flax module
# itself. Each has `paper`, `needs` and `formula()`.
LOSSES: dict[str, type[PairLoss] | type[nn.Module]] = {
    "contrastive": Contrastive,
    "nca": NCA,
    "sup_con": SupCon,
    "nt_xent": NTXent,
    "fast_ap": FastAP,
    "smooth_ap": SmoothAP,
    "histogram": Histogram,
    "barlow_twins": BarlowTwins,
    "vicreg": VICReg,
    "proxy_nca": ProxyNCA,
    "proxy_nca_plus_plus": ProxyNCAPlusPlus,
    "proxy_anchor": ProxyAnchor,
    "soft_triple": SoftTriple,
    "center": CenterLoss,
}


def make_loss(
    num_classes: int,
    embedding_size: int,
    *,
    name: str,
    miner: str | Mapping = "all",
    axis_name: str | None = None,
    **options,
) -> nn.Module:
    """The objective `name` of `LOSSES` from plain values.

    `miner`, for pair losses, is a name of `MINERS` or a mapping with its "name" and
    fields. `options` are fields of the loss and, for pair losses, of `PairObjective`.
    Raises `UserError` for anything that does not exist or fit.
    """
    kind = look_up(LOSSES, name, "Loss")
    given = {
        "num_classes": num_classes,
        "embedding_size": embedding_size,
        "axis_name": axis_name,
        "miner": miner,
    }
    if not issubclass(kind, PairLoss):
        return _objective(kind, name, options, given)
    of_loss = {field: options.pop(field) for field in _fields(kind) & options.keys()}
    known = _fields(kind) | _fields(PairObjective) - {"loss"}
    for option in options:
        look_up(dict.fromkeys(known - given.keys()), option, f"Loss {name!r}: option")
    given |= {"loss": kind(**of_loss), "miner": _miner(miner)}
    return _objective(PairObjective, name, options, given)


def _objective(kind, name, options, given):
    """An objective from its options, and from what is given of what it has room for."""
    fields = _fields(kind)
    for option in options:
        known = fields - given.keys()
        look_up(dict.fromkeys(known), option, f"Loss {name!r}: option")
    return kind(**{k: v for k, v in given.items() if k in fields}, **options)


def _miner(value: str | Mapping) -> Miner:
    options = {"name": value} if isinstance(value, str) else dict(value)
    kind = look_up(MINERS, name := options.pop("name"), "Miner")
    for option in options:
        look_up(dict.fromkeys(_fields(kind)), option, f"Miner {name!r}: option")
    return kind(**options)


def _fields(kind) -> set[str]:
    return {f.name for f in dataclasses.fields(kind)} - {"parent", "name"}
