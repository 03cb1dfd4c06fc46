"""The contract of all margins.

A margin is a frozen dataclass around one function φ of the target cosine. It also says
whether embeddings and weights are normalized. The logit of class j is

    (1 or ‖w_j‖) · (scale or ‖x‖) · cos θ_j (+ b_j),

with cos θ replaced by φ(θ) for the target class. A few margins also replace it for the
other classes.
"""

import dataclasses
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from nfml_jax.heads.margins.description import (
    CONTINUATIONS,
    Described,
    infeasibility,
)
from nfml_jax.heads.strength import Annealing
from nfml_jax.ops.checks import check_choice, check_flag
from nfml_jax.ops.fields import traced

GRADIENTS = ("exact", "detach")


def number(default: Any) -> Any:
    """Return a field for one of the margin's numbers, as opposed to its options."""
    return traced(default, number=True)


def statistic(default: Any, *, traced: bool = False) -> Any:
    """Return a field that changes during training; its value is the initial one."""
    metadata = {"statistic": True, "traced": traced}
    return dataclasses.field(default=default, metadata=metadata)


class Rows(NamedTuple):
    """The inputs of statistics: all examples of the global batch, each `[N]`.

    `cosine` is that of the target class, `norm` the embedding's, `others` the logarithm
    of the other classes' sum, `center` the nearest of the class's sub-centers. Rows
    that aren't `valid` are padding.
    """

    cosine: jax.Array
    norm: jax.Array
    others: jax.Array
    label: jax.Array
    center: jax.Array
    valid: jax.Array

    def mean(self, values: jax.Array) -> jax.Array:
        """Return the mean of values `[N]` over the valid rows, or 0 if there are none.

        >>> values, valid = jnp.array([1.0, 3.0, 9.0]), jnp.array([True, True, False])
        >>> float(Rows(*[values] * 5, valid).mean(values))
        2.0
        """
        total = jnp.sum(jnp.where(self.valid, values, 0.0))
        return total / jnp.maximum(jnp.sum(self.valid), 1)


@dataclasses.dataclass(frozen=True)
class Margin(Described):
    """The base class of all margins, which on its own leaves the cosine as it is.

    A subclass overrides `phi`, and any other method or class attribute in which it
    differs from softmax with a margin on the target class alone:

    >>> @dataclasses.dataclass(frozen=True)
    ... class Squared(Margin):
    ...     margin: Any = number(0.1)
    ...
    ...     def phi(self, cosine):
    ...         return cosine - self.margin * (1.0 + cosine) ** 2
    >>> round(float(Squared(0.2).target(0.5)), 4)
    0.05
    """

    # Whether embeddings, and weights, are divided by their norms.
    normalize_embeddings: ClassVar[bool] = True
    normalize_weights: ClassVar[bool] = True
    # Whether logits have a bias, and whether it is one number for all classes.
    bias: ClassVar[bool] = False
    shared_bias: ClassVar[bool] = False
    # The scale if none is given; None if embeddings keep their norm.
    default_scale: ClassVar[float | None] = 64.0
    # The published schedule of the margin's strength; None is full strength throughout.
    default_strength: ClassVar[Annealing | None] = None
    # Whether a normal number is drawn for each example.
    random: ClassVar[bool] = False
    # Whether the margin computes its scale, so that none may be given.
    finds_scale: ClassVar[bool] = False
    # The source, for the table of heads.
    paper: ClassVar[str] = "–"
    # The data or the question that it suits, for the page of heads.
    use: ClassVar[str] = ""
    # Fields of some margins, without an annotation, as in `Described`.
    subcenters = 1  # weights of each class
    repulsion = 0.0  # the weight of a term that pushes class centers apart
    plus = False  # whether `assigned` compares the examples of the batch
    momentum = 0.0  # the share of the old value in a running mean

    def __post_init__(self):
        check_choice(self, GRADIENTS, grad=self.grad)
        check_flag(self, easy=self.easy, plus=self.plus)
        if "beyond_pi" in {field.name for field in dataclasses.fields(self)}:
            check_choice(self, CONTINUATIONS, beyond_pi=self.beyond_pi)

    @classmethod
    def numbers(cls) -> list[str]:
        """Return the names of the fields that are numbers, in order."""
        return _marked(cls, "number")

    def phi(self, cosine: jax.Array) -> jax.Array:
        """Return φ `[...]` of target cosines `[...]` in [-1, 1]."""
        return cosine

    def target(self, cosine: jax.Array) -> jax.Array:
        """Return φ `[...]` of target cosines `[...]`, which are clipped to [-1, 1].

        `grad="detach"` keeps φ's value and takes the plain cosine's gradient, as
        insightface and SphereFace-R (Liu et al. 2022) do.
        """
        cosine = jnp.clip(cosine, -1.0, 1.0)
        return self._with_gradient(cosine, self.phi(cosine))

    def assigned(self, noise: jax.Array, cosine: jax.Array) -> jax.Array:
        """Return random draws `[N]` in the order in which examples get them.

        `cosine` `[N]` are the target cosines of all examples of a batch. A margin with
        `plus` gives the largest draws to the smallest cosines.
        """
        return noise

    def for_examples(self, cosine, norm, noise) -> "Margin":
        """Return this margin with one number for each example, from `[B]` arrays.

        `cosine` is the target's, without gradient, `norm` the embedding's, and `noise`
        a standard normal draw.
        """
        return self

    def negatives(self, cosine: jax.Array, target: jax.Array) -> jax.Array:
        """Return what replaces cosines `[B, C]` of non-target classes.

        `target` `[B, 1]` is φ.
        """
        return cosine

    def pool(self, cosines: jax.Array) -> jax.Array:
        """Return a class's cosine `[...]` from those of its sub-centers `[..., K]`."""
        return jnp.max(cosines, axis=-1)

    def log_terms(self, logits: jax.Array) -> jax.Array:
        """Return the logarithms of the terms that non-target logits add to the sum."""
        return logits

    def loss(self, target: jax.Array, others: jax.Array) -> jax.Array:
        """Return the loss `[B]` from the target's logit and the log of the sum."""
        return jax.nn.softplus(others - target)

    def penalty(self, norm: jax.Array) -> jax.Array | None:
        """Return a term `[B]` of the loss for embeddings' norms `[B]`, or None."""
        return None

    def log_nearness(self, cosine: jax.Array) -> jax.Array:
        """Return the logarithm of how strongly centers at a cosine repel each other.

        It is called if `repulsion` is not 0.
        """
        raise NotImplementedError

    def own_scale(self, num_classes: int) -> float | jax.Array | None:
        """Return the scale if none is given; None if embeddings keep their norm."""
        return self.default_scale

    def initial_bias(self, num_classes: int, scale) -> float | jax.Array:
        """Return the initial value of the bias."""
        return 0.0

    def initial_statistics(self, num_classes: int) -> dict[str, jax.Array]:
        """Return the initial values of the fields that change during training."""
        names = _marked(type(self), "statistic")
        return {name: jnp.asarray(getattr(self, name), jnp.float32) for name in names}

    def moved(self, rows: Rows) -> dict[str, jax.Array]:
        """Return the statistics after a step on `rows`.

        They apply from the next step on, so that no example's loss depends on others.
        """
        return {}

    def feasibility(self, num_classes: int, embedding_size: int) -> str | None:
        """Return one sentence if no set of class centers can satisfy this margin.

        A margin is satisfied if an embedding on its own center has a larger φ than the
        value that replaces the cosine of the nearest other center. In two dimensions
        that is CosFace's (Wang et al. 2018) eq. 7, m < 1 - cos(2π/C), and for ArcFace
        m < 2π/C.

        >>> from nfml_jax.heads import CosFace
        >>> CosFace(0.35).feasibility(num_classes=10, embedding_size=64)
        >>> CosFace(0.35).feasibility(num_classes=10, embedding_size=2)
        'cos θ - 0.35 cannot be satisfied by 10 classes at embedding size 2: ...
        take a margin below 0.191 or a larger embedding.'
        """
        if self.is_array:
            return None
        return infeasibility(self, num_classes, embedding_size)

    @property
    def is_array(self) -> bool:
        """Return whether a field is an array, whose value may be unknown."""
        return any(isinstance(value, jax.Array) for value in vars(self).values())

    def _with_gradient(self, cosine, value):
        """Return the value that replaces a cosine, with the gradient `grad` names."""
        if self.grad == "exact":
            return value
        return cosine + jax.lax.stop_gradient(value - cosine)

    def _drifted(self, name: str, new: jax.Array, rows: Rows) -> jax.Array:
        """Return the running mean `name` after `new`; it stays if no row is valid."""
        old = getattr(self, name)
        mean = self.momentum * old + (1.0 - self.momentum) * new
        return jnp.where(jnp.any(rows.valid), mean, old)


def _marked(kind, mark) -> list[str]:
    return [f.name for f in dataclasses.fields(kind) if f.metadata.get(mark)]
