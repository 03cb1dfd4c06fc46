"""Baselines of a density of vectors: a normal density, and a mixture of them."""

from collections.abc import Callable
from functools import cached_property

import numpy as np

from nfml_jax.data.vectors.arrays import VectorData
from nfml_jax.evaluation import likelihoods
from nfml_jax.evaluation.mixtures import (
    ClassMixtures,
    Mixture,
    fit_classes,
    fit_gaussian,
    fit_mixture,
)

# Maximum number of classes for which each gets a mixture.
MOST_MIXTURES = 30


class Baselines:
    """Densities beside a flow, which are given the same context.

    Args:
      vectors: the data.
      given: a function from the name of a part to the flow's arguments after its rows.
    """

    def __init__(
        self, vectors: VectorData, given: Callable[[str], tuple[np.ndarray, ...]]
    ):
        self._vectors, self._given = vectors, given
        context = vectors.context
        self._classes = context.size if context and context.classes else None

    @cached_property
    def fitted(self) -> dict[str, Mixture | ClassMixtures]:
        """A normal density and a mixture of them, fitted to the training rows.

        With very many classes there is no mixture.
        """
        vectors = self._vectors
        parts = [part for part in ("train", "validation") if part in vectors.parts]
        fits = {"gaussian": fit_gaussian, "gmm": fit_mixture}
        if self._classes is not None:
            if self._classes > MOST_MIXTURES:
                del fits["gmm"]
            rows = [x for part in parts for x in self._labeled(part)]
            return {
                name: fit_classes(fit, *rows[:2], self._classes, *rows[2:])
                for name, fit in fits.items()
            }
        rows = [np.concatenate(self._beside_given(part), axis=1) for part in parts]
        given = rows[0].shape[1] - vectors.event_dim
        return {
            "gaussian": fit_gaussian(rows[0]),
            "gmm": fit_mixture(*rows, given=given),
        }

    def metrics(self) -> dict[str, float]:
        """Return the mean log-likelihood of the test's rows under each baseline."""
        labeled = self._classes is not None
        rows = self._labeled("test") if labeled else self._beside_given("test")
        metrics = {}
        for name, fitted in self.fitted.items():
            nll = likelihoods.negative_log_likelihood(fitted.log_prob(*rows))
            metrics[f"{name}/log_likelihood"] = -nll["nll"]
            metrics[f"{name}/log_likelihood_se"] = nll["nll_error"]
        if not labeled:
            metrics["gmm/components"] = float(self.fitted["gmm"].components)
        return metrics

    def _labeled(self, part):
        return self._vectors.parts[part], self._vectors.given[part]

    def _beside_given(self, part):
        return self._vectors.parts[part], *self._given(part)
