"""Margins to test, and the papers' losses written naively in float64 with acos.

The tests run over `MARGINS`. A new margin needs its formula in `PHI`, and a further
line in another table if it differs from softmax with a margin on the target alone.
"""

import dataclasses

import numpy as np
import pytest

from nfml_jax.errors import UserError
from nfml_jax.heads import (
    MARGINS,
    CombinedMargin,
    LSoftmax,
    MagFace,
    SphereFaceR,
    SubCenterArcFace,
)
from nfml_jax.heads.margins.centers import POOLINGS
from nfml_jax.heads.margins.description import CONTINUATIONS
from nfml_jax.heads.margins.hard_negatives import REWEIGHTINGS
from nfml_jax.heads.margins.margin import GRADIENTS

NAMES = {kind: name for name, kind in MARGINS.items()}
CHOICES = {
    "grad": GRADIENTS,
    "easy": (False, True),
    "beyond_pi": CONTINUATIONS,
    "pooling": POOLINGS,
    "reweighting": REWEIGHTINGS,
    "plus": (False, True),
    "dynamic": (False, True),
}


def _variants():
    """Yield each margin with its defaults, and with each other choice of an option.

    A margin with another margin's φ is yielded with its defaults only.
    """
    for kind in MARGINS.values():
        yield kind()
        if {"phi", "target"}.isdisjoint(vars(kind)) and kind.__base__ in NAMES:
            continue
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
# One example of each margin that has all its effects on embeddings of norm about 4.
EXAMPLES = {name: kind() for name, kind in MARGINS.items()}
EXAMPLES |= {"magface": MagFace(low_norm=3.0, high_norm=5.0)}
SOFT = SubCenterArcFace(pooling="soft")
STATISTICS = {
    "t": 0.3,
    "norm_mean": 4.0,
    "norm_deviation": 0.5,
    "scale": 3.0,
    "wins": np.ones((5, 3)),
}
# Margins whose loss depends on the embedding's norm although the cosine doesn't.
BY_NORM = ("adaface", "magface")


def name_of(margin) -> str:
    return repr(margin).replace(" ", "")


def numbers_of(margin) -> dict:
    """Return the margin's numbers, without its options."""
    return {name: getattr(margin, name) for name in margin.numbers()}


def statistics_of(margin, dtype) -> dict:
    """Return the margin's statistics in mid-training, if it has any."""
    names = margin.initial_statistics(5)
    return {name: np.asarray(STATISTICS[name], dtype) for name in names}


def neutral(kind):
    """Return the margin of a class that leaves the cosine, or None."""
    if NAMES[kind] in ("circle", "sphereface2"):
        return None
    if kind is CombinedMargin:
        return kind(1, 0.0, 0.0)
    try:
        return kind(**dict.fromkeys(kind.numbers(), 0.0))
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
        start = np.minimum((np.pi - m2) / m1, np.pi)
        drop = np.maximum(m2 * np.sin(m2), 1.0 + np.cos(start))
        phi = np.where(past, np.cos(theta) - drop, phi)
    if margin.easy:
        return np.where(np.cos(theta) > 0, phi - m3, np.cos(theta))
    return phi - m3


def _arcface(theta, margin):
    return _shifted(theta, 1.0, margin.margin, 0.0, margin)


def _cosface(theta, margin):
    return np.cos(theta) - margin.margin


def _sphereface2(theta, margin):
    return 2 * ((np.cos(theta) + 1) / 2) ** margin.sharpness - 1 - margin.margin


def _circle(theta, margin):
    return _circle_held(theta, margin, theta)


def _circle_held(theta, margin, at):
    weight = np.maximum(1 + margin.margin - np.cos(at), 0)
    return weight * (np.cos(theta) - (1 - margin.margin))


class Formulae(dict):
    """Formulae of margins by name, which say where a missing one is to be added."""

    def __missing__(self, name):
        pytest.fail(
            f"The margin {name!r} has no reference formula: add a function "
            "`(theta, margin) -> φ` in numpy to PHI in tests/heads/heads_reference.py."
        )


PHI = Formulae(
    {
        "softmax": _cosine,
        "focal": _cosine,
        "l2_softmax": _cosine,
        "normface": _cosine,
        "coco": _cosine,
        "adacos": _cosine,
        "l_softmax": _multiple_angle,
        "sphereface": _multiple_angle,
        "sphereface_r": _multiple_angle,
        "sphereface2": _sphereface2,
        "cosface": _cosface,
        "arcface": _arcface,
        "combined": lambda theta, margin: _shifted(
            theta, margin.m1, margin.m2, margin.m3, margin
        ),
        "circle": _circle,
        "subcenter_arcface": _arcface,
        "uniformface": _cosface,
        "curricularface": _arcface,
        "mv_arcface": _arcface,
        "mv_cosface": _cosface,
        "arcnegface": _arcface,
        "adaface": _cosface,  # of an embedding of mean norm
        "magface": lambda theta, margin: _shifted(
            theta, 1.0, margin.lower, 0.0, margin
        ),
        "elastic_arcface": _arcface,
        "elastic_cosface": _cosface,
    }
)


def phi_of(margin, theta):
    """Return φ(θ) in float64, from the angle."""
    return PHI[NAMES[type(margin)]](np.asarray(theta, np.float64), margin)


def _adaface(theta, norm, margin):
    deviations = (norm - STATISTICS["norm_mean"]) / (
        STATISTICS["norm_deviation"] + 1e-3
    )
    quality = np.clip(margin.concentration * deviations, -1, 1)
    shifted = np.clip(theta - margin.margin * quality, 0, np.pi)
    return np.cos(shifted) - margin.margin * quality - margin.margin


def _magface(theta, norm, margin):
    norm = np.clip(norm, margin.low_norm, margin.high_norm)
    slope = (margin.upper - margin.lower) / (margin.high_norm - margin.low_norm)
    return _shifted(
        theta, 1.0, slope * (norm - margin.low_norm) + margin.lower, 0.0, margin
    )


# φ(θ [B], norm [B], margin) of margins that differ between examples.
BY_EXAMPLE = {"adaface": _adaface, "magface": _magface}


def _misclassified(cosine, phi, margin, at):
    more = margin.t * (cosine + 1) if margin.reweighting == "adaptive" else margin.t
    return np.where(cosine > phi, cosine + more, cosine)


def _arcneg(cosine, phi, margin, at):
    weight = margin.peak * np.exp(-((cosine - phi) ** 2) / margin.width)
    return weight * cosine + weight - 1


def _circle_others(cosine, phi, margin, at):
    return np.maximum(at + margin.margin, 0) * (cosine - margin.margin)


def _sphereface2_others(cosine, phi, margin, at):
    value = 2 * ((at + 1) / 2) ** margin.sharpness - 1 + margin.margin
    if margin.grad == "exact":
        return 2 * ((cosine + 1) / 2) ** margin.sharpness - 1 + margin.margin
    return cosine + value - at


# Replacements of other classes' cosines [B, C], with phi [B, 1]; `at` are the cosines
# at which weights without gradient are held.
NEGATIVES = {
    "curricularface": lambda cosine, phi, *_: np.where(
        cosine > phi, cosine * (STATISTICS["t"] + cosine), cosine
    ),
    "mv_arcface": _misclassified,
    "mv_cosface": _misclassified,
    "arcnegface": _arcneg,
    "circle": _circle_others,
    "sphereface2": _sphereface2_others,
}


def _cross_entropy(logits, one_hot, _):
    top = logits.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(logits - top).sum(axis=1)) + top[:, 0]
    return log_sum - (one_hot * logits).sum(axis=1)


def _focal(logits, one_hot, margin):
    loss = _cross_entropy(logits, one_hot, margin)
    return (1 - np.exp(-loss)) ** margin.gamma * loss


def _binary(logits, one_hot, margin):
    signs = 2 * one_hot - 1
    weights = np.where(one_hot == 1, margin.balance, 1 - margin.balance)
    return (weights * np.logaddexp(0, -signs * logits)).sum(axis=1)


LOSSES = {"focal": _focal, "sphereface2": _binary}


def _norm_penalty(margin, norm, weights, labels):
    norm = np.clip(norm, margin.low_norm, margin.high_norm)
    return margin.pull * (norm / margin.high_norm**2 + 1 / norm)


def _repulsion(margin, norm, weights, labels):
    distance = np.linalg.norm(weights[labels][:, None] - weights, axis=-1)
    others = (1 / (distance + 1)).sum(axis=1) - 1
    return margin.repulsion * others / (len(weights) - 1)


PENALTIES = {"magface": _norm_penalty, "uniformface": _repulsion}


def _pooled(cosines, margin):
    """[B, C] from [B, C, K]."""
    if margin.pooling == "max":
        return cosines.max(axis=-1)
    shares = np.exp(margin.sharpness * cosines)
    return (shares * cosines).sum(axis=-1) / shares.sum(axis=-1)


def loss_of(margin, x, weights, bias, labels, scale, strength=1.0, at=None):
    """Return the loss [B] in float64, from a one-hot array [B, C] and acos.

    At `strength` 0 every class counts by its cosine. What the margin takes no gradient
    of is held as it is for the x and weights `at`, so that differences are gradients.
    """
    name = NAMES[type(margin)]
    norm, theta, cosines = _angles(margin, x, weights, labels)
    held_norm, held_theta, held_cosines = _angles(margin, *(at or (x, weights)), labels)
    if name in BY_EXAMPLE:
        phi_norm = held_norm if name == "adaface" else norm
        phi = BY_EXAMPLE[name](theta, phi_norm, margin)
    elif name == "circle":
        phi = _circle_held(theta, margin, held_theta)
    elif getattr(margin, "grad", "exact") == "detach":
        phi = np.cos(theta) + phi_of(margin, held_theta) - np.cos(held_theta)
    else:
        phi = phi_of(margin, theta)
    rival = phi_of(margin, held_theta) if name == "arcnegface" else phi
    others = NEGATIVES.get(name, lambda cosine, *_: cosine)(
        cosines, rival[:, None], margin, held_cosines
    )
    one_hot = np.eye(len(weights))[labels]
    similarity = one_hot * phi[:, None] + (1 - one_hot) * others
    similarity = strength * similarity + (1 - strength) * cosines
    logits = similarity * (scale if margin.normalize_embeddings else norm[:, None])
    w_norm = np.linalg.norm(weights, axis=-1)
    logits = logits * (1.0 if margin.normalize_weights else w_norm)
    logits = logits + (0.0 if bias is None else np.asarray(bias, np.float64))
    loss = LOSSES.get(name, _cross_entropy)(logits, one_hot, margin)
    if name in PENALTIES:
        units = weights / w_norm[..., None]
        loss = loss + strength * PENALTIES[name](margin, norm, units, labels)
    return loss


def _angles(margin, x, weights, labels):
    """Return norms [B], angles with the target [B], cosines with all classes [B, C]."""
    norm = np.linalg.norm(x, axis=1)
    units = weights / np.linalg.norm(weights, axis=-1)[..., None]
    cosines = np.clip(np.tensordot(x / norm[:, None], units, (1, -1)), -1, 1)
    cosines = cosines if cosines.ndim == 2 else _pooled(cosines, margin)
    return norm, np.arccos(cosines[np.arange(len(labels)), labels]), cosines
