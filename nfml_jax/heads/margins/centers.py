"""Margins with several centers of each class, or with centers that repel each other."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from nfml_jax.heads.margins.fixed import ArcFace, CosFace
from nfml_jax.heads.margins.margin import statistic
from nfml_jax.ops.checks import check_choice, check_number

POOLINGS = ("max", "soft")


@dataclasses.dataclass(frozen=True)
class SubCenterArcFace(ArcFace):
    """ArcFace on the nearest of K centers of each class: Deng et al. 2020 (ECCV).

    Mislabeled and odd examples gather at the minor sub-centers; see
    `nfml_jax.heads.outliers`. With `pooling="soft"`, a class's cosine is the mean over
    its sub-centers weighted by softmax(`sharpness` · cosine), as in SoftTriple (Qian et
    al. 2019). `wins` `[C, K]` counts how often each sub-center is the nearest; each
    further example of the class multiplies its counts by `momentum`.

    >>> float(SubCenterArcFace(subcenters=3).pool(jnp.array([0.1, 0.75, -0.5])))
    0.75
    """

    subcenters: int = 3
    pooling: str = "max"
    sharpness: float = 10.0
    momentum: float = 0.99
    wins: Any = statistic(None)
    paper: ClassVar[str] = "Deng et al. 2020"
    use: ClassVar[str] = "mislabeled images, or classes with several clusters"

    def __post_init__(self):
        super().__post_init__()
        check_number(self, 2, integral=True, subcenters=self.subcenters)
        check_number(self, 0.0, sharpness=self.sharpness)
        check_number(self, 0.0, 1.0, momentum=self.momentum)
        check_choice(self, POOLINGS, pooling=self.pooling)

    def pool(self, cosines):
        if self.pooling == "max":
            return super().pool(cosines)
        return jnp.sum(jax.nn.softmax(self.sharpness * cosines) * cosines, axis=-1)

    def initial_statistics(self, num_classes):
        return {"wins": jnp.zeros((num_classes, self.subcenters))}

    def moved(self, rows):
        seen = jnp.zeros_like(self.wins[:, :1]).at[rows.label].add(rows.valid[:, None])
        won = jnp.zeros_like(self.wins).at[rows.label, rows.center].add(rows.valid)
        return {"wins": self.wins * self.momentum**seen + won}

    def options(self):
        which = "nearest" if self.pooling == "max" else "softly nearest"
        return f"{which} of {self.subcenters} sub-centers, {super().options()}"


@dataclasses.dataclass(frozen=True)
class UniformFace(CosFace):
    """Class centers that repel each other: Duan et al. 2019 (CVPR), uniform loss.

    CosFace's loss is increased by `repulsion` times the mean of 1 / (1 + ‖w_y - w_j‖)
    over the classes j other than y, with unit vectors w. This potential energy is
    smallest if the centers are spread evenly. Its mean over examples weights classes by
    their sizes.

    >>> round(float(jnp.exp(UniformFace().log_nearness(jnp.array(-1.0)))), 3)  # 1/3
    0.333
    """

    repulsion: float = 1.0
    paper: ClassVar[str] = "Duan et al. 2019"
    use: ClassVar[str] = "classes of unequal size, whose centers should spread evenly"

    def __post_init__(self):
        super().__post_init__()
        check_number(self, 0.0, repulsion=self.repulsion)

    def log_nearness(self, cosine: jax.Array) -> jax.Array:
        """Return ln 1 / (1 + distance) of unit vectors at these cosines."""
        squared = jnp.maximum(2.0 - 2.0 * cosine, 1e-12)
        return -jnp.log1p(jnp.sqrt(squared))

    def options(self):
        repelled = f"plus {self.repulsion:g} times the repulsion of centers"
        return ", ".join(filter(None, [super().options(), repelled]))
