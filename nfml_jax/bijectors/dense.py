"""Linear maps that start as a random rotation, as the 1×1 convolutions of Glow do.

Kingma & Dhariwal 2018, section 3.2: a free matrix, and its decomposition P L U.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen import initializers

from nfml_jax.bijectors.linear import Linear
from nfml_jax.bijectors.matrices import multiply, solve_triangular, unit_lower
from nfml_jax.bijectors.permutations import CONSTANTS


class Dense(Linear):
    """W a free matrix `[D, D]`, with log |det W| from its LU decomposition.

    Nothing keeps W from becoming singular, unlike that of the other linear maps. Only b
    follows the context.

    >>> layer, x = Dense(), jnp.array([[0.0, 3.0, 4.0]])
    >>> variables = layer.init(jax.random.key(0), x)
    >>> y, log_det = layer.apply(variables, x)  # a new layer is a rotation
    >>> round(float(jnp.linalg.norm(y)), 3), abs(round(float(log_det[0]), 3))
    (5.0, 0.0)
    """

    def shapes(self, size):
        return {"matrix": (initializers.orthogonal(), (size, size))}

    def scales(self, size):
        return 0

    @nn.nowrap
    def log_det_limit(self, shape):
        return math.inf

    def times(self, weights, scale, x):
        return multiply(weights["matrix"], x)

    def solve(self, weights, scale, y):
        rows = y.reshape(-1, y.shape[-1])
        return jnp.linalg.solve(weights["matrix"], rows.T).T.reshape(y.shape)

    def log_det(self, weights, log_scale):
        return jnp.linalg.slogdet(weights["matrix"])[1]


class PLU(Linear):
    """W = P L diag(s) (U + diag(d)): a permutation, unit lower and strictly upper L, U.

    P and d are constants of the random rotation that W starts as: its permutation, and
    the diagonal of its upper triangle. So log |det W| = Σ log s + Σ log |d|. Both
    triangles are stored in one matrix `[D, D]`, whose diagonal is not used.

    >>> layer, x = PLU(), jnp.array([[0.0, 3.0, 4.0]])
    >>> variables = layer.init(jax.random.key(0), x)
    >>> y, log_det = layer.apply(variables, x)  # a new layer is a rotation
    >>> round(float(jnp.linalg.norm(y)), 3), abs(round(float(log_det[0]), 3))
    (5.0, 0.0)
    """

    def weights(self, size, dtype):
        factors = []

        def factor(i):
            if not factors:
                rotation = initializers.orthogonal()(
                    self.make_rng("params"), (size, size)
                )
                factors.extend(jax.scipy.linalg.lu(rotation))
            return factors[i]

        def triangles(*_):
            return jnp.tril(factor(1), -1) + jnp.triu(factor(2), 1)

        # Afterwards Flax asks an initializer for shapes alone, without random keys.
        init = triangles if self.is_initializing() else initializers.zeros
        # Row i of P A is row order[i] of A.
        order = self.variable(CONSTANTS, "order", lambda: jnp.argmax(factor(0), -1))
        diagonal = self.variable(CONSTANTS, "diagonal", lambda: jnp.diagonal(factor(2)))
        return {
            "triangles": self.param("triangles", init, (size, size)).astype(dtype),
            "order": order.value,
            "diagonal": diagonal.value.astype(dtype),
        }

    def times(self, weights, scale, x):
        x = scale * multiply(self._upper(weights), x)
        x = multiply(unit_lower(weights["triangles"]), x)
        return x[..., weights["order"]]

    def solve(self, weights, scale, y):
        y = y[..., jnp.argsort(weights["order"])]
        y = solve_triangular(unit_lower(weights["triangles"]), y, lower=True)
        return solve_triangular(self._upper(weights), y / scale)

    def log_det(self, weights, log_scale):
        return log_scale.sum(-1) + jnp.log(jnp.abs(weights["diagonal"])).sum()

    def _upper(self, weights):
        return jnp.triu(weights["triangles"], 1) + jnp.diag(weights["diagonal"])
