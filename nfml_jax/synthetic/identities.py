"""Synthetic identities in any number, none of which is stored.

An identity is a number that determines its traits, which are drawn anew for each view.
A view mixes them with circumstances that are independent of it (a pose, a light), which
are the larger part, and with noise.
"""

import dataclasses

import jax
import jax.numpy as jnp

from nfml_jax.ops.checks import WIDEST, check_integer, check_number

# The purposes of the keys of the seed.
TRAITS, MIXING, DISTURBING = range(3)


@dataclasses.dataclass(frozen=True)
class Identities:
    """Views of `size` numbers: tanh(A traits + B circumstances) + noise.

    `traits` and `circumstances` are counts of independent normal numbers; the latter
    are `disturbance` times as large, and the noise has the deviation `noise`. A and B
    follow from the `seed`.
    """

    size: int = 128
    traits: int = 32
    circumstances: int = 32
    disturbance: float = 2.0
    noise: float = 0.1
    seed: int = 0

    def __post_init__(self):
        for name in ("size", "traits", "circumstances"):
            check_integer("identities", 1, WIDEST, **{name: getattr(self, name)})
        check_number("identities", 0, disturbance=self.disturbance, noise=self.noise)
        check_integer("identities", 0, 2**32 - 1, seed=self.seed)

    def views(self, identities: jax.Array, keys: jax.Array) -> jax.Array:
        """Return a view `[N, size]` of each identity `[N]`, drawn by a key `[N]`."""
        key = self._key(TRAITS)
        traits = jax.vmap(
            lambda identity: jax.random.normal(
                jax.random.fold_in(key, identity), (self.traits,)
            )
        )(identities)
        count = self.circumstances + self.size
        chance = jax.vmap(lambda key: jax.random.normal(key, (count,)))(keys)
        circumstances, noise = jnp.split(chance, [self.circumstances], axis=1)
        mixed = traits @ self._matrix(MIXING, self.traits)
        other = circumstances @ self._matrix(DISTURBING, self.circumstances)
        return jnp.tanh(mixed + self.disturbance * other) + self.noise * noise

    def _matrix(self, purpose, inputs):
        """Return a matrix of random entries that preserves the variance of inputs."""
        entries = jax.random.normal(self._key(purpose), (inputs, self.size))
        return entries / jnp.sqrt(inputs)

    def _key(self, purpose):
        return jax.random.fold_in(jax.random.key(self.seed), purpose)
