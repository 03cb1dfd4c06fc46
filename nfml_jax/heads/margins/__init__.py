"""All margins by name: functions that replace the cosine of the target class.

To add one, write a subclass of `nfml_jax.heads.margins.margin.Margin`, a frozen
dataclass, in a file here, import it, and give it a line in `MARGINS`. Exports, tests
and the table of heads follow.

>>> MARGINS["cosface"](0.35).formula()
'cos θ - 0.35'
"""

# `X as X` tells type checkers that a name is public, as in JAX's own packages.
from nfml_jax.heads.margins.adaptive import AdaFace as AdaFace
from nfml_jax.heads.margins.adaptive import ElasticArcFace as ElasticArcFace
from nfml_jax.heads.margins.adaptive import ElasticCosFace as ElasticCosFace
from nfml_jax.heads.margins.adaptive import MagFace as MagFace
from nfml_jax.heads.margins.both_sides import CircleLoss as CircleLoss
from nfml_jax.heads.margins.both_sides import SphereFace2 as SphereFace2
from nfml_jax.heads.margins.centers import SubCenterArcFace as SubCenterArcFace
from nfml_jax.heads.margins.centers import UniformFace as UniformFace
from nfml_jax.heads.margins.fixed import ArcFace as ArcFace
from nfml_jax.heads.margins.fixed import CombinedMargin as CombinedMargin
from nfml_jax.heads.margins.fixed import CosFace as CosFace
from nfml_jax.heads.margins.fixed import L2Softmax as L2Softmax
from nfml_jax.heads.margins.fixed import NormFace as NormFace
from nfml_jax.heads.margins.fixed import Softmax as Softmax
from nfml_jax.heads.margins.hard_negatives import ArcNegFace as ArcNegFace
from nfml_jax.heads.margins.hard_negatives import CurricularFace as CurricularFace
from nfml_jax.heads.margins.hard_negatives import MVArcFace as MVArcFace
from nfml_jax.heads.margins.hard_negatives import MVCosFace as MVCosFace
from nfml_jax.heads.margins.margin import Margin as Margin
from nfml_jax.heads.margins.margin import Rows as Rows
from nfml_jax.heads.margins.multiple_angle import LSoftmax as LSoftmax
from nfml_jax.heads.margins.multiple_angle import SphereFace as SphereFace
from nfml_jax.heads.margins.multiple_angle import SphereFaceR as SphereFaceR
from nfml_jax.heads.margins.plain import AdaCos as AdaCos
from nfml_jax.heads.margins.plain import CocoLoss as CocoLoss
from nfml_jax.heads.margins.plain import FocalLoss as FocalLoss

MARGINS: dict[str, type[Margin]] = {
    "softmax": Softmax,
    "focal": FocalLoss,
    "l2_softmax": L2Softmax,
    "normface": NormFace,
    "coco": CocoLoss,
    "adacos": AdaCos,
    "l_softmax": LSoftmax,
    "sphereface": SphereFace,
    "sphereface_r": SphereFaceR,
    "sphereface2": SphereFace2,
    "cosface": CosFace,
    "arcface": ArcFace,
    "combined": CombinedMargin,
    "circle": CircleLoss,
    "subcenter_arcface": SubCenterArcFace,
    "uniformface": UniformFace,
    "curricularface": CurricularFace,
    "mv_arcface": MVArcFace,
    "mv_cosface": MVCosFace,
    "arcnegface": ArcNegFace,
    "adaface": AdaFace,
    "magface": MagFace,
    "elastic_arcface": ElasticArcFace,
    "elastic_cosface": ElasticCosFace,
}

__all__ = ["MARGINS", "Margin", "Rows", *(kind.__name__ for kind in MARGINS.values())]
