"""What all margins share: the contract of `Margin`.

Every margin is a frozen dataclass around one function φ of the target cosine, and says
which of embeddings and weights it normalises. The logit of class j is

    (1 or ‖w_j‖) · (scale or ‖x‖) · cos θ_j (+ b_j),

with cos θ replaced by φ(θ) for the right class; a few margins also replace it for the
wrong ones.
"""

import dataclasses
import math
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from nfml_jax.heads.margins.options import CONTINUATIONS
from nfml_jax.heads.strength import Annealing

# Marks a field that is one of the margin's numbers, as opposed to its options.
NUMBER = {"number": True}
# Marks a field that follows the training; what it is given is where it starts.
STATISTIC = {"statistic": True}


class Rows(NamedTuple):
    """What statistics are made of: all examples of the global batch, each [N].

    `cosine` is that of the right class, `norm` the embedding's, `others` the logarithm
    of the wrong classes' sum, `centre` the nearest of the class's sub-centres; rows
    that aren't `valid` are padding.
    """

    cosine: jax.Array
    norm: jax.Array
    others: jax.Array
    label: jax.Array
    centre: jax.Array
    valid: jax.Array

    def mean(self, values: jax.Array) -> jax.Array:
        """The mean of values [N] over the valid rows; 0 without any."""
        total = jnp.sum(jnp.where(self.valid, values, 0.0))
        return total / jnp.maximum(jnp.sum(self.valid), 1)


@dataclasses.dataclass(frozen=True)
class Margin:
    """What all margins share; on its own it leaves the cosine as it is.

    `default_scale` is a usual scale, None where embeddings keep their norm;
    `default_strength` is the schedule of the margin's strength that it was published
    with, None for full strength from the start. A class has `subcentres` weights, and
    its `bias`, if any, is one number for all classes if `shared_bias`. A margin that
    is `random` draws a normal number for each example; one with a `repulsion` pushes
    the class centres apart; one that `finds_scale` is given none. `paper` is for the
    table of heads.
    """

    normalise_embeddings: ClassVar[bool] = True
    normalise_weights: ClassVar[bool] = True
    bias: ClassVar[bool] = False
    shared_bias: ClassVar[bool] = False
    default_scale: ClassVar[float | None] = 64.0
    default_strength: ClassVar[Annealing | None] = None
    random: ClassVar[bool] = False
    finds_scale: ClassVar[bool] = False
    paper: ClassVar[str] = "–"
    # Fields of some margins, here with what holds for the others. An annotation, even
    # ClassVar, would give them a place before every margin's own fields.
    subcentres = 1
    repulsion = 0.0
    grad = "exact"
    easy = False
    beyond_pi = ""
    plus = False
    momentum = 0.0

    def __post_init__(self) -> None:
        """Raise UserError for numbers and options that no such margin has."""

    @classmethod
    def numbers(cls) -> list[str]:
        """The names of the fields that are numbers, in order."""
        return _marked(cls, "number")

    @property
    def is_array(self) -> bool:
        """Whether a field of this margin is an array, whose value may be unknown."""
        return any(isinstance(value, jax.Array) for value in vars(self).values())

    def phi(self, cosine: jax.Array) -> jax.Array:
        """φ [...] of target cosines [...] in [-1, 1]."""
        return cosine

    def target(self, cosine: jax.Array) -> jax.Array:
        """φ [...] of target cosines [...] clipped to [-1, 1], with the chosen gradient.

        `grad="detach"` keeps φ's value and takes the plain cosine's gradient, as
        insightface and SphereFace-R (Liu et al. 2022) do.
        """
        cosine = jnp.clip(cosine, -1.0, 1.0)
        return self._with_gradient(cosine, self.phi(cosine))

    def for_examples(self, cosine, norm, noise) -> "Margin":
        """This margin with numbers of each example's own, from [B] arrays.

        `cosine` is the target's, without gradient, `norm` the embedding's, and `noise`
        a standard normal draw.
        """
        return self

    def farthest_first(self, noise: jax.Array, cosine: jax.Array) -> jax.Array:
        """Return normal draws [N] handed out by target cosines [N], where `plus`."""
        return noise

    def negatives(self, cosine: jax.Array, target: jax.Array) -> jax.Array:
        """What replaces cosines [B, C] of wrong classes; target [B, 1] is the φ."""
        return cosine

    def pool(self, cosines: jax.Array) -> jax.Array:
        """A class's cosine [...] from those of its sub-centres [..., K]."""
        return jnp.max(cosines, axis=-1)

    def log_terms(self, logits: jax.Array) -> jax.Array:
        """Logarithms of what wrong classes add to the sum that `loss` takes."""
        return logits

    def loss(self, target: jax.Array, others: jax.Array) -> jax.Array:
        """The loss [B] from the target's logit and the logarithm of the others' sum."""
        return jax.nn.softplus(others - target)

    def penalty(self, norm: jax.Array) -> jax.Array | None:
        """What is added to the loss [B] for embeddings' norms [B], or None."""
        return None

    def log_nearness(self, cosine: jax.Array) -> jax.Array:
        """Return what two class centres at a cosine repel each other with, as a log.

        It is asked for where there is a `repulsion`.
        """
        raise NotImplementedError

    def own_scale(self, num_classes: int) -> float | jax.Array | None:
        """The scale where none is given; None where embeddings keep their norm."""
        return self.default_scale

    def initial_bias(self, num_classes: int, scale) -> float | jax.Array:
        """Where the bias starts."""
        return 0.0

    def initial_statistics(self, num_classes: int) -> dict[str, jax.Array]:
        """Fields that follow the training, as they are at its start."""
        names = _marked(type(self), "statistic")
        return {name: jnp.asarray(getattr(self, name), jnp.float32) for name in names}

    def moved(self, rows: Rows) -> dict[str, jax.Array]:
        """The statistics after a step on `rows`; as a mean, `momentum` of it old.

        They count from the next step on, so that no example's loss depends on others.
        """
        return {}

    def formula(self) -> str:
        """φ as a person writes it, with this margin's numbers in it."""
        return "cos θ"

    def others_formula(self) -> str:
        """What stands for the cosine of a wrong class."""
        return "cos θ"

    def loss_words(self) -> str:
        """The loss in words, without its logits."""
        return "cross entropy of softmax"

    def options(self) -> str:
        """This margin's options in words, or ""."""
        words = []
        if self.easy:
            words.append("below 90° only")
        if self.beyond_pi:
            words.append(CONTINUATIONS[self.beyond_pi])
        if self.grad == "detach":
            words.append("gradient of the plain cosine")
        return ", ".join(words)

    def feasibility(self, num_classes: int, embedding_size: int) -> str | None:
        """One sentence if no placing of the class centres can satisfy this margin.

        Satisfied means that an embedding on its own centre has a larger φ than what
        stands for the nearest other centre. In two dimensions that is CosFace's (Wang
        et al. 2018) eq. 7, m < 1 - cos(2π/C), and for ArcFace m < 2π/C.
        """
        if self.is_array:
            return None
        neighbour = _nearest_centre(num_classes, embedding_size)
        best = self.target(jnp.ones(()))
        rival = float(self.negatives(jnp.asarray(neighbour), best))
        if (best := float(best)) > rival:
            return None
        return (
            f"{self.formula()} cannot be satisfied by {num_classes} classes at "
            f"embedding size {embedding_size}: the nearest centres are at most "
            f"{math.degrees(math.acos(neighbour)):.1f}° apart, where the wrong class "
            f"counts {rival:.3f} and the right one {best:.3f} at most; take "
            f"{self._smaller(neighbour)} or a larger embedding."
        )

    def _smaller(self, neighbour: float) -> str:
        """The margins that do well with centres at cosine `neighbour`, in words."""
        return "a smaller margin"

    def _with_gradient(self, cosine, value):
        """The value that replaces a cosine, with the gradient that `grad` names."""
        if self.grad == "exact":
            return value
        return cosine + jax.lax.stop_gradient(value - cosine)

    def _drifted(self, name: str, new: jax.Array, rows: Rows) -> jax.Array:
        """The statistic `name` moved towards `new`, if there are rows at all."""
        old = getattr(self, name)
        mean = self.momentum * old + (1.0 - self.momentum) * new
        return jnp.where(jnp.any(rows.valid), mean, old)


def _marked(kind, mark) -> list[str]:
    return [f.name for f in dataclasses.fields(kind) if f.metadata.get(mark)]


def _nearest_centre(num_classes: int, embedding_size: int) -> float:
    """The least cosine that the closest two of C centres in D dimensions can have.

    Exact on a circle and up to 2D centres; beyond, a lower bound (Rankin 1955).
    """
    if embedding_size == 2:
        return math.cos(2.0 * math.pi / num_classes)
    if num_classes <= embedding_size + 1:
        return -1.0 / (num_classes - 1)
    return 0.0
