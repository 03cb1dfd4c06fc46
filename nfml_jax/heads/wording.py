"""A head's loss and logits in words, for the header of a run.

`head` is a `MarginHead`.
"""

import jax.numpy as jnp

from nfml_jax.heads.scale import fixed_scale


def right_logit(head) -> str:
    """The logit of the right class."""
    return _logit(head, head.margin.formula())


def loss(head) -> str:
    """The loss with its logits."""
    margin = head.margin
    right, others = right_logit(head), _logit(head, margin.others_formula())
    words = f"{margin.loss_words()} over {head.num_classes:,} classes"
    options = f" ({options})" if (options := margin.options()) else ""
    if right == others:
        return f"{words}; logits {others}{options}"
    return f"{words}; right class {right}{options}, others {others}"


def changes(head) -> list[str]:
    """What else there is to say: what is learned, drawn or varies."""
    words = []
    if isinstance(head.scale, str):
        words.append("s is learned")
    if head.class_share < 1.0:
        words.append(f"over {head.class_share:.3g} of them, drawn at each step")
    if head.strength is not None:
        default = "margin of varying strength"
        words.append(getattr(head.strength, "words", lambda: default)())
    return words


def _logit(head, phi: str) -> str:
    """A logit, from what stands in it for the cosine."""
    margin = head.margin
    length = "" if margin.normalise_weights else "‖w‖·"
    size = f"{_scale(head)}·" if margin.normalise_embeddings else "‖x‖·"
    plain = phi == "cos θ" or (phi.startswith("cos(") and phi.find(")") == len(phi) - 1)
    return f"{length}{size}{phi if plain else f'({phi})'}{' + b' * margin.bias}"


def _scale(head) -> str:
    """The scale as formulae show it, "s" where it isn't a known number."""
    if isinstance(head.scale, str) or head.margin.finds_scale:
        return "s"
    scale = fixed_scale(head.scale, head.margin, head.num_classes)
    known = scale is not None and jnp.ndim(scale) == 0
    return f"{float(scale):g}" if known else "s"
