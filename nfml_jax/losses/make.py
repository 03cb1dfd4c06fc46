"""All losses and miners by name, and objectives from the plain values of a config.

To add a loss, write it in a file here, import it, and give it a line in `LOSSES`.
Exports, tests and the table of losses follow. A miner has a line in `MINERS`.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.linen as nn

from nfml_jax.errors import UserError

# `X as X` tells type checkers that a name is public, as in JAX's own packages.
from nfml_jax.losses.average_precision import FastAP as FastAP
from nfml_jax.losses.average_precision import SmoothAP as SmoothAP
from nfml_jax.losses.center import CenterLoss as CenterLoss
from nfml_jax.losses.contrastive import Contrastive as Contrastive
from nfml_jax.losses.contrastive import MarginLoss as MarginLoss
from nfml_jax.losses.contrastive import SNRContrastive as SNRContrastive
from nfml_jax.losses.distance_weighted import DistanceWeighted as DistanceWeighted
from nfml_jax.losses.histogram import Histogram as Histogram
from nfml_jax.losses.miners import BatchHard as BatchHard
from nfml_jax.losses.miners import Easy as Easy
from nfml_jax.losses.miners import EasyPositive as EasyPositive
from nfml_jax.losses.miners import Hard as Hard
from nfml_jax.losses.miners import Miner as Miner
from nfml_jax.losses.miners import MultiSimilarityMiner as MultiSimilarityMiner
from nfml_jax.losses.miners import SemiHard as SemiHard
from nfml_jax.losses.miners import SemiHardBand as SemiHardBand
from nfml_jax.losses.pair_loss import PairLoss
from nfml_jax.losses.pair_objective import PairObjective
from nfml_jax.losses.proxies import ProxyAnchor as ProxyAnchor
from nfml_jax.losses.proxies import ProxyNCA as ProxyNCA
from nfml_jax.losses.proxies import ProxyNCAPlusPlus as ProxyNCAPlusPlus
from nfml_jax.losses.soft_triple import SoftTriple as SoftTriple
from nfml_jax.losses.softmax_pairs import NCA as NCA
from nfml_jax.losses.softmax_pairs import NTXent as NTXent
from nfml_jax.losses.softmax_pairs import SupCon as SupCon
from nfml_jax.losses.triplets import Quadruplet as Quadruplet
from nfml_jax.losses.triplets import Triplet as Triplet
from nfml_jax.losses.tuplets import Angular as Angular
from nfml_jax.losses.tuplets import NPair as NPair
from nfml_jax.losses.tuplets import TupletMargin as TupletMargin
from nfml_jax.losses.two_views import BarlowTwins as BarlowTwins
from nfml_jax.losses.two_views import VICReg as VICReg
from nfml_jax.losses.weighted_pairs import Circle as Circle
from nfml_jax.losses.weighted_pairs import LiftedStructure as LiftedStructure
from nfml_jax.losses.weighted_pairs import MultiSimilarity as MultiSimilarity
from nfml_jax.ops.fields import traced_fields
from nfml_jax.ops.names import check_names, look_up

# A subclass of PairLoss, which becomes an objective by PairObjective, or an objective
# (a Flax module). Each has `paper`, `needs` and `formula()`.
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

MINERS: dict[str, type[Miner]] = {
    "all": Miner,
    "easy": Easy,
    "easy_positive": EasyPositive,
    "semi_hard": SemiHard,
    "semi_hard_band": SemiHardBand,
    "hard": Hard,
    "batch_hard": BatchHard,
    "distance_weighted": DistanceWeighted,
    "multi_similarity": MultiSimilarityMiner,
}

__all__ = [
    "LOSSES",
    "MINERS",
    "make_loss",
    "traced_options",
    *(kind.__name__ for kind in (*LOSSES.values(), *MINERS.values())),
]


def make_loss(
    num_classes: int,
    embedding_size: int,
    *,
    name: str,
    miner: str | Mapping | None = None,
    axis_name: str | None = None,
    **options,
) -> nn.Module:
    """Return the objective `name` of `LOSSES`, from plain values.

    Args:
      num_classes: the number of classes, C.
      embedding_size: the number of coordinates of an embedding, D.
      name: a name in `LOSSES`.
      miner: for pair losses, a name in `MINERS`, or a mapping with its "name" and its
        fields; None is the loss's default.
      axis_name: the device axis during training.
      options: fields of the loss and, for pair losses, of `PairObjective`.

    Raises:
      UserError: for a name or an option that is unknown, or a value that doesn't fit.

    >>> objective = make_loss(10, 64, name="triplet", margin=0.3, miner="batch_hard")
    >>> objective.loss.formula(), objective.miner
    ('[d₊ - d₋ + 0.3]₊', BatchHard())

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
        check_names(options, _fields(kind) - given.keys(), f"Loss {name!r}: option")
        return kind(**_wanted(kind, given), **options)
    own, shared = _fields(kind), _fields(PairObjective) - {"loss", "miner", *given}
    check_names(options, own | shared, f"Loss {name!r}: option")
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
    check_names(options, _fields(kind), f"Miner {name!r}: option")
    return kind(**options)


def _wanted(kind, given):
    return {field: given[field] for field in _fields(kind) & given.keys()}


def _fields(kind) -> set[str]:
    return {f.name for f in dataclasses.fields(kind)} - {"parent", "name"}


def traced_options(section: Mapping[str, Any]) -> frozenset[str]:
    """Return the arguments of `make_loss` that a compiled program takes as inputs.

    `section` holds the arguments.

    >>> sorted(traced_options({"name": "quadruplet"}))
    ['margin', 'margin_of_others']
    """
    kind = LOSSES.get(str(section.get("name")))
    return frozenset() if kind is None else traced_fields(kind)
