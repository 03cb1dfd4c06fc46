"""Margins that ask something of the class centres: several of them, or to spread."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from nfml_jax.heads.margins.fixed import ArcFace, CosFace
from nfml_jax.heads.margins.margin import STATISTIC
from nfml_jax.heads.margins.options import check_choices
from nfml_jax.ops.checks import check_number

POOLINGS = ("max", "soft")


@dataclasses.dataclass(frozen=True)
class SubCenterArcFace(ArcFace):
    """ArcFace on the nearest of K centres of each class: Deng et al. 2020 (ECCV).

    Mislabelled and odd examples gather at the lesser sub-centres; see
    `nfml_jax.heads.outliers`. With `pooling="soft"` a class's cosine is the mean of its
    sub-centres' weighted by softmax(`sharpness` · cosine), as in SoftTriple (Qian et
    al. 2019). `wins` [C, K] counts which sub-centre is the nearest, `momentum` of it
    kept for each further example of the class.
    """

    subcentres: int = 3
    pooling: str = "max"
    sharpness: float = 10.0
    momentum: float = 0.99
    wins: Any = dataclasses.field(default=None, metadata=STATISTIC)
    paper: ClassVar[str] = "Deng et al. 2020"

    def __post_init__(self):
        super().__post_init__()
        check_number(self, 2, integral=True, subcentres=self.subcentres)
        check_number(self, 0.0, sharpness=self.sharpness)
        check_number(self, 0.0, 1.0, momentum=self.momentum)
        check_choices(self, pooling=POOLINGS)

    def pool(self, cosines):
        if self.pooling == "max":
            return super().pool(cosines)
        return jnp.sum(jax.nn.softmax(self.sharpness * cosines) * cosines, axis=-1)

    def initial_statistics(self, num_classes):
        return {"wins": jnp.zeros((num_classes, self.subcentres))}

    def moved(self, rows):
        seen = jnp.zeros_like(self.wins[:, :1]).at[rows.label].add(rows.valid[:, None])
        won = jnp.zeros_like(self.wins).at[rows.label, rows.centre].add(rows.valid)
        return {"wins": self.wins * self.momentum**seen + won}

    def options(self):
        which = "nearest" if self.pooling == "max" else "softly nearest"
        return f"{which} of {self.subcentres} sub-centres, {super().options()}"


@dataclasses.dataclass(frozen=True)
class UniformFace(CosFace):
    """Class centres that repel each other: Duan et al. 2019 (CVPR), uniform loss.

    Added to CosFace's loss is `repulsion` times the mean of 1 / (1 + ‖w_y - w_j‖) over
    the classes j other than y, of unit vectors w: a potential energy, smallest when the
    centres are spread evenly. Its mean over examples weighs classes by their sizes.
    """

    repulsion: float = 1.0
    paper: ClassVar[str] = "Duan et al. 2019"

    def __post_init__(self):
        super().__post_init__()
        check_number(self, 0.0, repulsion=self.repulsion)

    def log_nearness(self, cosine: jax.Array) -> jax.Array:
        """ln 1 / (1 + distance) of unit vectors at these cosines."""
        squared = jnp.maximum(2.0 - 2.0 * cosine, 1e-12)
        return -jnp.log1p(jnp.sqrt(squared))

    def options(self):
        repelled = f"plus {self.repulsion:g} times the centres' repulsion"
        return ", ".join(filter(None, [super().options(), repelled]))
