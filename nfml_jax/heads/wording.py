"""A head's loss and logits in words, for the header of a run.

`head` is a `MarginHead`.
"""

import jax.numpy as jnp

from nfml_jax.heads.scale import fixed_scale
from nfml_jax.heads.strength import Annealing, Warmup


def target_logit(head) -> str:
    """Return the formula of the target's logit."""
    return _logit(head, head.margin.formula())


def loss(head) -> str:
    """Return the loss with the formulae of its logits."""
    margin = head.margin
    target, others = target_logit(head), _logit(head, margin.others_formula())
    words = f"{margin.loss_words()} over {head.num_classes:,} classes"
    options = f" ({options})" if (options := margin.options()) else ""
    if target == others:
        return f"{words}; logits {others}{options}"
    return f"{words}; target {target}{options}, others {others}"


def changes(head) -> list[str]:
    """Return clauses for what is learned, drawn at random, or varies with the step."""
    words = []
    if isinstance(head.scale, str):
        words.append("s is learned")
    if head.class_share < 1.0:
        words.append(f"over {head.class_share:.3g} of them, drawn at each step")
    if isinstance(head.strength, Annealing | Warmup):
        words.append(head.strength.words())
    elif head.strength is not None:
        words.append("margin of varying strength")
    return words


def _logit(head, phi: str) -> str:
    """Return the formula of a logit, from the one that replaces its cosine."""
    margin = head.margin
    length = "" if margin.normalize_weights else "‖w‖·"
    size = f"{_scale(head)}·" if margin.normalize_embeddings else "‖x‖·"
    plain = phi == "cos θ" or (phi.startswith("cos(") and phi.find(")") == len(phi) - 1)
    return f"{length}{size}{phi if plain else f'({phi})'}{' + b' * margin.bias}"


def _scale(head) -> str:
    """Return the scale as formulae show it, "s" if it isn't a known number."""
    if isinstance(head.scale, str) or head.margin.finds_scale:
        return "s"
    scale = fixed_scale(head.scale, head.margin, head.num_classes)
    return "s" if scale is None or jnp.ndim(scale) else f"{float(scale):g}"
