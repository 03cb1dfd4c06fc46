"""A head's loss and logits in words, for the header of a run."""

from nfml_jax.heads.margins import Margin


def loss(margin: Margin, scale: str, num_classes: int) -> str:
    """The loss with its logits; `scale` is the scale as it is to be shown."""
    right = logit(margin, scale, margin.formula())
    others = logit(margin, scale, margin.others_formula())
    words = f"{margin.loss_words()} over {num_classes:,} classes"
    options = f" ({options})" if (options := margin.options()) else ""
    if right == others:
        return f"{words}; logits {others}{options}"
    return f"{words}; right class {right}{options}, others {others}"


def changes(head) -> list[str]:
    """What else there is to say of a `MarginHead`: what is learned, drawn or varies."""
    words = []
    if isinstance(head.scale, str):
        words.append("s is learned")
    if head.class_share < 1.0:
        words.append(f"over {head.class_share:.3g} of them, drawn at each step")
    if head.strength is not None:
        default = "margin of varying strength"
        words.append(getattr(head.strength, "words", lambda: default)())
    return words


def logit(margin: Margin, scale: str, phi: str) -> str:
    """A logit, from what stands in it for the cosine."""
    length = "" if margin.normalise_weights else "‖w‖·"
    size = f"{scale}·" if margin.normalise_embeddings else "‖x‖·"
    plain = phi == "cos θ" or (phi.startswith("cos(") and phi.find(")") == len(phi) - 1)
    return f"{length}{size}{phi if plain else f'({phi})'}{' + b' * margin.bias}"
