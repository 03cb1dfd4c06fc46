"""All bijectors by name: the table that exports, documentation and laws follow from.

To add one, write a Flax module on the contract of `Bijector` in a file here, import it,
and give it a line in `BIJECTORS` with a small example. A scalar transform has its line
in `TRANSFORMS` (see `nfml_jax.bijectors.transforms`) instead.

>>> BIJECTORS["householder"].kind.__name__
'Householder'
"""

from collections.abc import Callable
from dataclasses import dataclass

from flax import linen as nn

# `X as X` tells type checkers that a name is public, as in JAX's own packages.
from nfml_jax.bijectors.autoregressive import Autoregressive as Autoregressive
from nfml_jax.bijectors.bijector import Bijector as Bijector
from nfml_jax.bijectors.block_autoregressive import (
    BlockAutoregressive as BlockAutoregressive,
)
from nfml_jax.bijectors.combinators import Chain as Chain
from nfml_jax.bijectors.combinators import Inverse as Inverse
from nfml_jax.bijectors.continuous import Continuous as Continuous
from nfml_jax.bijectors.coupling import Coupling as Coupling
from nfml_jax.bijectors.dense import PLU as PLU
from nfml_jax.bijectors.dense import Dense as Dense
from nfml_jax.bijectors.elementwise import Elementwise as Elementwise
from nfml_jax.bijectors.linear import LU as LU
from nfml_jax.bijectors.linear import QR as QR
from nfml_jax.bijectors.linear import SVD as SVD
from nfml_jax.bijectors.low_rank import LowRank as LowRank
from nfml_jax.bijectors.matrix_exponential import MatrixExponential as MatrixExponential
from nfml_jax.bijectors.normalization import ActNorm as ActNorm
from nfml_jax.bijectors.normalization import BatchNormalization as BatchNormalization
from nfml_jax.bijectors.orthogonal import Householder as Householder
from nfml_jax.bijectors.orthogonal import Orthogonal as Orthogonal
from nfml_jax.bijectors.parts import Partial as Partial
from nfml_jax.bijectors.permutations import Permutation as Permutation
from nfml_jax.bijectors.permutations import Reverse as Reverse
from nfml_jax.bijectors.planar import Planar as Planar
from nfml_jax.bijectors.planar import Radial as Radial
from nfml_jax.bijectors.residual import Residual as Residual
from nfml_jax.bijectors.spheres import PhaseShift as PhaseShift
from nfml_jax.bijectors.spheres import Sphere as Sphere
from nfml_jax.bijectors.stack import Stack as Stack
from nfml_jax.bijectors.sylvester import Sylvester as Sylvester
from nfml_jax.bijectors.transforms import (
    DOMAIN_MAPS,
    TRANSFORMS,
    Affine,
    LinearSpline,
)
from nfml_jax.nets.conditioners import MLP
from nfml_jax.nets.lipschitz import LipschitzMLP
from nfml_jax.nets.made import MADE


@dataclass(frozen=True)
class Entry:
    """A small example of a bijector, and the facts that its laws depend on.

    `make(conditional)` builds it, with a conditioner of the context if asked and if it
    `takes_context`. `events` names where its events lie: "line" (any vector), "unit"
    (every coordinate in (0, 1)), "positive", "angle" (every coordinate in [-π, π]) or
    "sphere" (unit vectors). `tolerance` is that of `nfml_jax.testing.check_bijector`
    in float32 and float64. A map is not `exact` if a solver approximates it; its own
    tests say how closely.

    >>> entry = Entry(lambda conditional: LU(), "Kingma & Dhariwal 2018", False)
    >>> type(entry.make(False)).__name__, entry.events
    ('LU', 'line')
    """

    make: Callable[[bool], Bijector]
    paper: str = ""
    takes_context: bool = True
    starts_as_identity: bool = True
    events: str = "line"
    tolerance: tuple[float | None, float | None] = (None, None)
    least_dim: int = 1
    exact: bool = True

    @property
    def kind(self) -> type[Bijector]:
        """The class of the bijector."""
        return type(self.make(False))


def _net(conditional: bool = True):
    return MLP(hidden=(8,)) if conditional else None


BIJECTORS: dict[str, Entry] = {
    "elementwise": Entry(lambda c: Elementwise(Affine(), _net(c))),
    "coupling": Entry(lambda c: Coupling(Affine(), _net()), "Dinh et al. 2017"),
    "autoregressive": Entry(
        lambda c: Autoregressive(Affine(), MADE(hidden=(8,))), "Kingma et al. 2016"
    ),
    "block_autoregressive": Entry(
        lambda c: BlockAutoregressive(hidden=4),
        "De Cao et al. 2019",
        starts_as_identity=False,
    ),
    "lu": Entry(lambda c: LU(_net(c)), "Kingma & Dhariwal 2018"),
    "plu": Entry(lambda c: PLU(_net(c)), "Kingma & Dhariwal 2018", True, False),
    "dense": Entry(lambda c: Dense(_net(c)), "Kingma & Dhariwal 2018", True, False),
    "qr": Entry(lambda c: QR(_net(c)), "Hoogeboom et al. 2019"),
    "svd": Entry(lambda c: SVD(_net(c)), "Hoogeboom et al. 2019"),
    "low_rank": Entry(lambda c: LowRank(_net(c), rank=2)),
    "matrix_exponential": Entry(
        lambda c: MatrixExponential(_net(c)), "Hoogeboom et al. 2020"
    ),
    "householder": Entry(
        lambda c: Householder(conditioner=_net(c)), "Tomczak & Welling 2016"
    ),
    "orthogonal": Entry(lambda c: Orthogonal(), "", False),
    "planar": Entry(lambda c: Planar(_net(c)), "Rezende & Mohamed 2015"),
    "radial": Entry(lambda c: Radial(_net(c)), "Rezende & Mohamed 2015"),
    **{
        f"sylvester_{basis}": Entry(
            lambda c, b=basis: Sylvester(b, rank=3, conditioner=_net(c)),
            "van den Berg et al. 2018",
        )
        for basis in ("orthogonal", "householder", "triangular")
    },
    "residual": Entry(
        lambda c: Residual(LipschitzMLP(hidden=(8,))), "Chen et al. 2019"
    ),
    "continuous": Entry(
        lambda c: Continuous(MLP(hidden=(8,), activation=nn.tanh)),
        "Grathwohl et al. 2019",
        exact=False,
    ),
    "sphere": Entry(
        lambda c: Sphere(LinearSpline(2, 1.0, "box"), PhaseShift(), _net()),
        "Rezende et al. 2020",
        events="sphere",
        least_dim=2,
    ),
    "phase_shift": Entry(
        lambda c: Elementwise(PhaseShift(), _net(c)),
        "Rezende et al. 2020",
        events="angle",
    ),
    "act_norm": Entry(
        lambda c: ActNorm(), "Kingma & Dhariwal 2018", False, starts_as_identity=False
    ),
    "batch_norm": Entry(
        lambda c: BatchNormalization(), "Papamakarios et al. 2017", False, False
    ),
    "reverse": Entry(lambda c: Reverse(), "", False, False),
    "permutation": Entry(lambda c: Permutation(), "", False, False),
    "chain": Entry(lambda c: Chain((Reverse(), Coupling(Affine(), _net()), Reverse()))),
    "inverse": Entry(lambda c: Inverse(Elementwise(Affine(), _net(c)))),
    "partial": Entry(
        lambda c: Partial(Elementwise(Affine(), _net(c))),
        "Dinh et al. 2017",
        least_dim=2,
    ),
    "stack": Entry(
        lambda c: Stack(Chain((Permutation(), Coupling(Affine(), _net()))), 2),
        starts_as_identity=False,
    ),
    # Every scalar transform with parameters drives a coupling, too.
    **{
        f"coupling_{name}": Entry(
            lambda c, t=transform: Coupling(t(), _net()),
            starts_as_identity=transform.has_identity,
        )
        for name, transform in TRANSFORMS.items()
        if name != "affine"  # the example above
    },
    # those without take each coordinate from their domain to their codomain.
    **{
        name: Entry(
            lambda c, t=transform: Elementwise(t()),
            takes_context=False,
            starts_as_identity=transform.has_identity,
            events="unit" if transform().domain == (0, 1) else "line",
        )
        for name, transform in DOMAIN_MAPS.items()
    },
}

__all__ = [
    "BIJECTORS",
    "Bijector",
    "Entry",
    "PhaseShift",
    *sorted({entry.kind.__name__ for entry in BIJECTORS.values()}),
]
