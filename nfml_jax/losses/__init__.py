"""Objectives of metric learning: of pairs and triplets, of whole batches, of proxies.

`make_loss` builds any of them from the plain values of a config; each is a Flax module
with `objective.apply(vars, embeddings [B, D], labels [B], step) -> LossOutput`.
"""

import dataclasses
from collections.abc import Mapping

import flax.linen as nn

from nfml_jax.errors import UserError
from nfml_jax.losses.average_precision import FastAP, SmoothAP
from nfml_jax.losses.center import CenterLoss
from nfml_jax.losses.contrastive import Contrastive, MarginLoss, SNRContrastive
from nfml_jax.losses.histogram import Histogram
from nfml_jax.losses.miner import Miner
from nfml_jax.losses.miners import MINERS
from nfml_jax.losses.output import LossOutput
from nfml_jax.losses.pair_loss import PairLoss, Pairs, Row
from nfml_jax.losses.pair_objective import PairObjective
from nfml_jax.losses.proxies import ProxyAnchor, ProxyNCA, ProxyNCAPlusPlus
from nfml_jax.losses.soft_triple import SoftTriple
from nfml_jax.losses.softmax_pairs import NCA, NTXent, SupCon
from nfml_jax.losses.triplets import Quadruplet, Triplet
from nfml_jax.losses.tuplets import Angular, NPair, TupletMargin
from nfml_jax.losses.two_views import BarlowTwins, VICReg, two_views
from nfml_jax.losses.weighted_pairs import Circle, LiftedStructure, MultiSimilarity
from nfml_jax.ops.names import look_up

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
    "snr": SNRContrastive,
    "margin": MarginLoss,
    "triplet": Triplet,
    "quadruplet": Quadruplet,
    "n_pair": NPair,
    "tuplet_margin": TupletMargin,
    "angular": Angular,
    "lifted_structure": LiftedStructure,
    "multi_similarity": MultiSimilarity,
    "circle": Circle,
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
    miner: str | Mapping | None = None,
    axis_name: str | None = None,
    **options,
) -> nn.Module:
    """The objective `name` of `LOSSES` from plain values.

    `miner`, for pair losses, is a name of `MINERS` or a mapping with its "name" and
    fields; None is the loss's own. `options` are fields of the loss and, for pair
    losses, of `PairObjective`.
    Raises `UserError` for anything that does not exist or fit.
    """
    kind = look_up(LOSSES, name, "Loss")
    given = {
        "num_classes": num_classes,
        "embedding_size": embedding_size,
        "axis_name": axis_name,
    }
    if not issubclass(kind, PairLoss):
        if miner is not None:
            raise UserError(
                f"Loss {name!r} got miner={miner!r}, but has no pairs to mine; "
                "leave the miner out."
            )
        _check_options(f"Loss {name!r}", options, _fields(kind) - given.keys())
        return kind(**_wanted(kind, given), **options)
    own, shared = _fields(kind), _fields(PairObjective) - {"loss", "miner", *given}
    _check_options(f"Loss {name!r}", options, own | shared)
    loss = kind(**{field: options.pop(field) for field in own & options.keys()})
    return PairObjective(
        loss=loss,
        miner=_miner(kind.miner if miner is None else miner),
        **_wanted(PairObjective, given),
        **options,
    )


def _miner(value: str | Mapping) -> Miner:
    options = {"name": value} if isinstance(value, str) else dict(value)
    if "name" not in options:
        raise UserError(
            f"The loss got miner={value!r} without a name; give it 'name', one of "
            f"{', '.join(MINERS)}."
        )
    kind = look_up(MINERS, name := options.pop("name"), "Miner")
    _check_options(f"Miner {name!r}", options, _fields(kind))
    return kind(**options)


def _check_options(what, options, known):
    for option in options:
        look_up(dict.fromkeys(known), option, f"{what}: option")


def _wanted(kind, given):
    return {field: given[field] for field in _fields(kind) & given.keys()}


def _fields(kind) -> set[str]:
    return {f.name for f in dataclasses.fields(kind)} - {"parent", "name"}
