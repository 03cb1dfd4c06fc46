"""Bits per dimension of a mixture of classes, and the class of an image by Bayes' rule.

A density of images for each class gives P(x) = Σ P(class) P(x | class), and so the
probability of each class given the image.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import log_softmax, logsumexp

from nfml_jax.errors import UserError
from nfml_jax.evaluation.bits_per_dim import LOG_2, BitsPerDim, mean_and_error
from nfml_jax.ops.labels import check_labels


@dataclass(frozen=True)
class ClassBits:
    """The bits of images under a mixture of classes.

    Attributes:
      marginal: The bits per dimension of P(x), which need no label.
      log_joint: log P(x, class) `[N, classes]` in nats; bounds, if the bits are.
    """

    marginal: BitsPerDim
    log_joint: np.ndarray

    @property
    def log_posterior(self) -> np.ndarray:
        """The logarithm of P(class | x), `[N, classes]`."""
        return log_softmax(self.log_joint, axis=1)


def of_classes(
    bits: Callable[[np.ndarray], BitsPerDim], prior, labels, *, known: bool = True
) -> ClassBits:
    """Return the bits of images under a mixture, from those given each class.

    Args:
      bits: A function of classes `[N]` that returns the bits per dimension of image
        i given class i, the same images each time. It is called once for each class.
      prior: The probability of each class `[classes]`.
      labels: The classes `[N]` of the first call.
      known: Whether these are the images' own. The terms of the mixture are then those
        of `with_class`, and "mixture", what the other classes add to the probability;
        otherwise there are none.

    Raises:
      UserError: for a prior without a class.

    >>> def bits(classes):  # an image of 8 numbers has 1 bit/dim if it is of class 0
    ...     each = 1.0 + classes
    ...     return BitsPerDim(1.0, 0.0, "exact", each, {}, {"dimensions": 8})
    >>> found = of_classes(bits, [0.5, 0.5], labels=[0])
    >>> round(found.marginal.mean, 3), np.exp(found.log_posterior).round(3).tolist()
    (1.124, [[0.996, 0.004]])
    """
    log_prior = _log(prior)
    classes = len(log_prior)
    labels = check_labels(labels, len(labels), classes)
    own = bits(labels)
    size = event_size(own)
    rows, joint = np.arange(len(labels)), np.zeros((len(labels), classes))
    for step in range(classes):
        given = (labels + step) % classes
        found = bits(given) if step else own
        joint[rows, given] = log_prior[given] - found.per_image * (size * LOG_2)
    per_image = -np.asarray(logsumexp(joint, axis=1)) / (size * LOG_2)
    # logsumexp gives minus infinity for NaN among infinities.
    per_image = np.where(np.isnan(joint).any(axis=1), np.nan, per_image)
    mean, error = mean_and_error(per_image)
    terms = {}
    if known:
        one = with_class(own, prior, labels)
        terms = {**one.terms, "mixture": mean - one.mean}
    marginal = replace(
        own, mean=mean, standard_error=error, per_image=per_image, terms=terms
    )
    return ClassBits(marginal, joint)


def with_class(found: BitsPerDim, prior, labels) -> BitsPerDim:
    """Return the bits of P(x, class), a bound of those of P(x), from P(x | class).

    The bits of the label are the term "class".

    >>> facts = {"dimensions": 2}
    >>> given = BitsPerDim(1.0, 0.0, "bound", np.ones(1), {"density": 1.0}, facts)
    >>> with_class(given, [0.25, 0.75], labels=[0]).mean
    2.0
    """
    more = -_log(prior)[np.asarray(labels)] / (event_size(found) * LOG_2)
    per_image = found.per_image + more
    mean, error = mean_and_error(per_image)
    terms = {**found.terms, "class": float(more.mean())}
    return replace(
        found, mean=mean, standard_error=error, per_image=per_image, terms=terms
    )


def event_size(found: BitsPerDim) -> int:
    """Return the number of pixel values in an image."""
    return int(found.facts["dimensions"] or 0)


def _log(prior) -> np.ndarray:
    prior = np.asarray(prior, np.float64)
    if prior.ndim != 1 or not prior.size:
        raise UserError(
            f"the prior has shape {list(prior.shape)}; give the probability of each "
            "class, [classes]."
        )
    with np.errstate(divide="ignore"):
        return np.log(prior)
