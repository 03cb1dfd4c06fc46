"""Autoregressive maps: each coordinate's transform is driven by those before it.

Inverse autoregressive flow (Kingma et al. 2016) as it stands, masked autoregressive
flow (Papamakarios et al. 2017) turned round.
"""

import flax.linen as nn
import jax.numpy as jnp

from nfml_jax.bijectors.bijector import Bijector
from nfml_jax.bijectors.fixed_point import bounded, jacobi, triangular_inverse
from nfml_jax.bijectors.transforms import ScalarTransform
from nfml_jax.ops.checks import check_choice, check_integer, check_kind, check_number

SOLVERS = "gs_jacobi", "scan", "jacobi"


class Autoregressive(Bijector):
    """y_i = `transform`(x_i) with parameters that `conditioner` makes of x before i.

    The forward direction is one pass: this is IAF, fast to sample from base to data.
    `Inverse(Autoregressive(...))` is MAF: its density is one pass, and sampling has to
    find one coordinate after another. `conditioner` is a `MADE` or `ResMADE`, or has a
    method `network` like theirs. What the slow direction costs depends on `solver`:

    - "gs_jacobi": `block` coordinates (levels, for a graph) at a time, iterated within
      the block, each unit's share of earlier blocks computed once. Little more than
      the arithmetic of one pass, in D / block steps: the fastest on a CPU.
    - "scan": the same with blocks of one, where nothing is iterated.
    - "jacobi": whole passes until nothing changes, at most D: fewest, largest steps.

    All are exact: iterations end when nothing changes by more than `tolerance` units
    in the last place, or after as many sweeps as make any triangular system exact.
    Derivatives of both modes come from the implicit function theorem. A conditioner in
    lower precision than the events is inverted as it rounds, by final sweeps over all.
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

    def _functions(self, x, context):
        """The map and its inverse as pure functions, and the numbers they depend on."""
        transform, tolerance = self.transform, self.tolerance
        block = {"jacobi": None, "scan": 1, "gs_jacobi": self.block}[self.solver]
        network, layers = self.conditioner.network(x, context, transform.num_params)

        def forward(layers, before, x):
            raw = network(layers, before).astype(x.dtype)
            return transform.forward_and_log_det(raw, x)

        def scalar(raw, y):
            return transform.inverse_and_log_det(raw.astype(y.dtype), y)[0]

        def inverse(layers, y):
            def settle(sweep, start):
                return bounded(jacobi(sweep, start, block - 1, tolerance)[0])

            x = network.draw(layers, y, scalar, settle, block) if block else y
            if block and network.dtype == y.dtype:
                return x
            return jacobi(
                lambda x: scalar(network(layers, x), y), x, network.depth, tolerance, y
            )[0]

        return forward, inverse, layers
