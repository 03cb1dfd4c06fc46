"""Margin heads for classification: softmax to ArcFace, one contract."""

from nfml_jax.heads.head import HeadOutput, MarginHead, check_labels
from nfml_jax.heads.margins import ArcFace, Margin, Softmax
from nfml_jax.heads.scale import TargetProbability
from nfml_jax.heads.strength import Annealing, Warmup
from nfml_jax.heads.summation import SUMMATIONS

__all__ = [
    "SUMMATIONS",
    "Annealing",
    "ArcFace",
    "HeadOutput",
    "Margin",
    "MarginHead",
    "Softmax",
    "TargetProbability",
    "Warmup",
    "check_labels",
]
