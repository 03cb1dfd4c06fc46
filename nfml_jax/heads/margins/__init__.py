"""Margins: what each loss puts in place of the cosine of the right class.

A new one is a frozen dataclass on `Margin`'s contract, and a line in the table.
"""

from nfml_jax.heads.margins.adaptive import (
    AdaFace,
    ElasticArcFace,
    ElasticCosFace,
    MagFace,
)
from nfml_jax.heads.margins.both_sides import CircleLoss, SphereFace2
from nfml_jax.heads.margins.centres import SubCenterArcFace, UniformFace
from nfml_jax.heads.margins.fixed import (
    ArcFace,
    CombinedMargin,
    CosFace,
    L2Softmax,
    LSoftmax,
    NormFace,
    Softmax,
    SphereFace,
    SphereFaceR,
)
from nfml_jax.heads.margins.hard_negatives import (
    ArcNegFace,
    CurricularFace,
    MVArcFace,
    MVCosFace,
)
from nfml_jax.heads.margins.margin import Margin, Rows
from nfml_jax.heads.margins.plain import AdaCos, CocoLoss, FocalLoss

MARGINS = {
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

__all__ = [
    "MARGINS",
    "AdaCos",
    "AdaFace",
    "ArcFace",
    "ArcNegFace",
    "CircleLoss",
    "CocoLoss",
    "CombinedMargin",
    "CosFace",
    "CurricularFace",
    "ElasticArcFace",
    "ElasticCosFace",
    "FocalLoss",
    "L2Softmax",
    "LSoftmax",
    "MVArcFace",
    "MVCosFace",
    "MagFace",
    "Margin",
    "NormFace",
    "Rows",
    "Softmax",
    "SphereFace",
    "SphereFace2",
    "SphereFaceR",
    "SubCenterArcFace",
    "UniformFace",
]
