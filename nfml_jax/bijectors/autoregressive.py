"""Autoregressive maps: each coordinate's transform is conditioned on those before it.

The forward direction is the inverse autoregressive flow (IAF, Kingma et al. 2016). Its
inverse is the masked autoregressive flow (MAF, Papamakarios et al. 2017).
"""

import math

import flax.linen as nn
import jax.numpy as jnp

from nfml_jax.bijectors.bijector import OnLastAxis
from nfml_jax.bijectors.fixed_point import finite, jacobi, triangular_inverse
from nfml_jax.bijectors.transforms import ScalarTransform
from nfml_jax.ops.checks import check_choice, check_integer, check_kind, check_number

SOLVERS = "gs_jacobi", "scan", "jacobi"


class Autoregressive(OnLastAxis):
    """y_i = transform(x_i), with parameters that are a function of x_1 ... x_(i-1).

    The forward direction is one pass of the conditioner: this is IAF, which samples
    fast. `Inverse(Autoregressive(...))` is MAF: its density is one pass, and sampling
    finds the coordinates one after another.

    Attributes:
      transform: The scalar transform.
      conditioner: A `MADE` or `ResMADE`, or a module with a method `network` like
        theirs.
      solver: The algorithm of the slow direction:

        - "gs_jacobi" solves `block` coordinates at a time (levels, for a graph). It
        iterates within the block, and computes each unit's contribution from earlier
        blocks once. It takes D / block steps with little more arithmetic than one
        pass, and is the fastest on a CPU.
        - "scan" is the same with blocks of one coordinate, and iterates nothing.
        - "jacobi" repeats whole passes until nothing changes, at most D of them. It
        takes the fewest and largest steps.
      block: The number of coordinates in a block of "gs_jacobi".
      tolerance: The largest change that ends an iteration, in units in the last place.

    All solvers are exact: iterations end when nothing changes by more than `tolerance`,
    or after as many sweeps as make any triangular system exact. Derivatives of both
    modes follow from the implicit function theorem. If the conditioner computes in
    lower precision than the events, final sweeps over all coordinates invert it with
    its rounding.

    >>> import jax
    >>> from nfml_jax.bijectors import Affine
    >>> from nfml_jax.nets import MADE
    >>> layer = Autoregressive(Affine(), MADE(hidden=(8,)))
    >>> x = jnp.array([[0.0, 0.5, 1.0]])
    >>> variables = layer.init(jax.random.key(0), x)
    >>> y, log_det = layer.apply(variables, x)  # a new layer is the identity
    >>> y.tolist(), log_det.tolist()
    ([[0.0, 0.5, 1.0]], [0.0])
    """

    transform: ScalarTransform
    conditioner: nn.Module
    solver: str = "gs_jacobi"
    block: int = 4
    tolerance: float = 8.0

    def check_options(self):
        check_kind(self, ScalarTransform, transform=self.transform)
        check_kind(self, nn.Module, conditioner=self.conditioner)
        check_choice(self, SOLVERS, solver=self.solver)
        check_integer(self, 1, block=self.block)
        check_number(self, 0.0, tolerance=self.tolerance)

    def forward_and_log_det(self, x, context=None):
        forward, _, layers = self._functions(x, context)
        y, log_slopes = forward(layers, x, x)
        return y, log_slopes.sum(-1)

    def inverse_and_log_det(self, y, context=None):
        forward, inverse, layers = self._functions(y, context)
        limit = y.shape[-1]
        x = triangular_inverse(
            forward,
            inverse,
            lambda *system: jacobi(*system, limit=limit, tolerance=self.tolerance)[0],
            layers,
            y,
        )
        log_det = -forward(layers, x, x)[1].sum(-1)
        outside = self.transform.outside(self.transform.codomain, y)
        if outside is not None:
            log_det = jnp.where(outside.any(-1), -jnp.inf, log_det)
        return x, log_det

    @nn.nowrap
    def log_det_limit(self, shape):
        return math.prod(shape) * self.transform.log_slope_limit

    def _functions(self, x, context):
        """Return the map and its inverse as pure functions, and their parameters."""
        transform, tolerance = self.transform, self.tolerance
        block = {"jacobi": None, "scan": 1, "gs_jacobi": self.block}[self.solver]
        network, layers = self.conditioner.network(x, context, transform.num_params)

        def forward(layers, before, x):
            raw = network(layers, before).astype(x.dtype)
            return transform.forward_and_log_det(raw, x)

        def scalar(raw, y):
            return transform.inverse_and_log_det(raw.astype(y.dtype), y)[0]

        def inverse(layers, y):
            def solve(sweep, start):
                return finite(jacobi(sweep, start, block - 1, tolerance)[0])

            x = network.draw(layers, y, scalar, solve, block) if block else y
            if block and network.dtype == y.dtype:
                return x
            return jacobi(
                lambda x: scalar(network(layers, x), y), x, network.depth, tolerance, y
            )[0]

        return forward, inverse, layers
