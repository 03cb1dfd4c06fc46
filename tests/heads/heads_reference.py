"""Margins to test, and the papers' losses written naively in float64 with acos.

Everything runs over the table of margins: a new margin needs one line in `PHI`.
"""

import dataclasses

import numpy as np

from nfml_jax.errors import UserError
from nfml_jax.heads import MARGINS, CombinedMargin, LSoftmax, SphereFaceR
from nfml_jax.heads.margins import CONTINUATIONS, GRADIENTS

CHOICES = {"grad": GRADIENTS, "easy": (False, True), "beyond_pi": CONTINUATIONS}


def _variants():
    """Each margin as it is, and with each of its options at each other choice."""
    for kind in MARGINS.values():
        yield kind()
        for field in dataclasses.fields(kind):
            for choice in CHOICES.get(field.name, ()):
                if choice != field.default:
                    yield kind(**{field.name: choice})


VARIANTS = [
    *_variants(),
    LSoftmax(3),
    SphereFaceR(2.6),
    CombinedMargin(0.9, 0.4, 0.15),
    CombinedMargin(1.35, 0.0, 0.0),
    CombinedMargin(2, 0.3, 0.1),
    CombinedMargin(3.0, 0.5, 0.0, beyond_pi="clamp"),
]


def name_of(margin) -> str:
    return repr(margin).replace(" ", "")


def numbers_of(margin) -> dict:
    """The margin's numbers, without its options."""
    fields = (field.name for field in dataclasses.fields(margin))
    return {name: getattr(margin, name) for name in fields if name not in CHOICES}


def neutral(kind):
    """The margin of this kind that changes nothing: 1 where it multiplies, or 0."""
    if kind is CombinedMargin:
        return kind(1, 0.0, 0.0)
    try:
        return kind(**dict.fromkeys(numbers_of(kind()), 0.0))
    except UserError:
        return kind(1)


def _cosine(theta, _):
    return np.cos(theta)


def _multiple_angle(theta, margin):
    m = margin.margin
    k = np.floor(m * theta / np.pi)
    return (-1.0) ** k * np.cos(m * theta) - 2.0 * k


def _shifted(theta, m1, m2, m3, margin):
    phi = np.cos(m1 * theta + m2)
    past = m1 * theta + m2 > np.pi
    if margin.beyond_pi == "clamp":
        phi = np.where(past, -1.0, phi)
    elif margin.beyond_pi == "linear":
        start = min((np.pi - m2) / m1, np.pi)
        drop = max(m2 * np.sin(m2), 1.0 + np.cos(start))
        phi = np.where(past, np.cos(theta) - drop, phi)
    if margin.easy:
        return np.where(np.cos(theta) > 0, phi - m3, np.cos(theta))
    return phi - m3


PHI = {
    "softmax": _cosine,
    "l2_softmax": _cosine,
    "normface": _cosine,
    "l_softmax": _multiple_angle,
    "sphereface": _multiple_angle,
    "sphereface_r": _multiple_angle,
    "cosface": lambda theta, margin: np.cos(theta) - margin.margin,
    "arcface": lambda theta, margin: _shifted(theta, 1.0, margin.margin, 0.0, margin),
    "combined": lambda theta, margin: _shifted(
        theta, margin.m1, margin.m2, margin.m3, margin
    ),
}


def phi_of(margin, theta):
    """φ(θ) in float64, from the angle."""
    names = {kind: name for name, kind in MARGINS.items()}
    return PHI[names[type(margin)]](np.asarray(theta, np.float64), margin)


def loss_of(margin, x, weights, bias, labels, scale):
    """The loss [B] in float64, with the whole one-hot [B, C] and acos."""
    x, weights = np.asarray(x, np.float64), np.asarray(weights, np.float64)
    x_norm = np.linalg.norm(x, axis=1, keepdims=True)
    w_norm = np.linalg.norm(weights, axis=1)
    theta = np.arccos(np.clip((x / x_norm) @ (weights / w_norm[:, None]).T, -1, 1))
    one_hot = np.eye(len(weights))[labels]
    cosine = one_hot * phi_of(margin, theta) + (1.0 - one_hot) * np.cos(theta)
    logits = cosine * (scale if margin.normalise_embeddings else x_norm)
    logits = logits * (1.0 if margin.normalise_weights else w_norm)
    logits = logits + (0.0 if bias is None else np.asarray(bias, np.float64))
    top = logits.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(logits - top).sum(axis=1)) + top[:, 0]
    return log_sum - (one_hot * logits).sum(axis=1)
