"""Flows on embeddings: a density of each class, compared with the cosine.

A class-conditional flow on the embeddings of a trained encoder detects unknown
identities, identifies probes of known classes, and scores whether two rows are of one
class. The baselines are the cosine to the classes' means and a normal density for each
class.
"""

from functools import cached_property

import numpy as np
from scipy.special import log_softmax

from experiments.conditional import ConditionalExperiment
from experiments.embedded_rows import load_embedded_rows
from nfml_jax.data.vectors.load import prepare_vectors
from nfml_jax.evaluation import class_angles, identification, llr
from nfml_jax.ops.distances import unit
from nfml_jax.training.experiment import Report, under

# Pairs of either kind on which log-likelihood ratios are evaluated.
PAIRS = 20_000

FPIRS = (0.1, 0.01)


class BridgeExperiment(ConditionalExperiment):
    """A class-conditional flow on a trained encoder's embeddings.

    `config` is that of `ConditionalExperiment`, except that "data" has arguments of
    `experiments.embedded_rows.load_embedded_rows`, such as the encoder's "run", and of
    `nfml_jax.data.vectors.load.prepare_vectors`. The report adds `identification/*`,
    the detection and identification rate at a false positive identification rate with
    unknown identities as non-mated probes, and `verification/*`, Cllr in bits of pairs
    of test rows.
    """

    def load(self):
        options = self.settings.data.to_config()
        run, outside = options.pop("run", None), options.pop("outside", None)
        return prepare_vectors(load_embedded_rows(run, outside), **options)

    def evaluate(self, joint, normal) -> Report:
        report = super().evaluate(joint, normal)
        report.metrics |= self._verify(joint)
        if "outside" in self.evaluated:
            report.metrics |= self._identify(joint | {"cosine": self._cosines})
        return report

    def outlier_scores(self, joint, normal):
        apart = {
            part: 1 - cosines.max(axis=1) for part, cosines in self._cosines.items()
        }
        return super().outlier_scores(joint, normal) | {"cosine": apart}

    @cached_property
    def _cosines(self):
        """Return cosines `[N, classes]` to the classes' means, by part."""
        train = self.vectors.to_original(self.vectors.train)
        means, _ = class_angles.class_means(train, self.vectors.given["train"])
        means = unit(means)
        return self.of_evaluated(lambda rows: self._directions(rows) @ means.T)

    def _identify(self, scores):
        """Return DIR at each of `FPIRS` for known classes and unknown ones."""
        metrics = {}
        for method, parts in scores.items():
            unknown = np.full(len(parts["outside"]), -1)
            found = identification.search_scores(
                np.concatenate([parts["test"], parts["outside"]]),
                np.concatenate([self.vectors.given["test"], unknown]),
            )
            rates = identification.metrics(found, (1,), FPIRS)
            metrics |= under(f"identification/{method}", rates)
        return metrics

    def _verify(self, joint):
        """Return Cllr of test pairs.

        The cosine's calibration is fitted to training pairs.
        """
        given = self.vectors.given
        pairs = draw_pairs(given["test"], PAIRS, seed=0)
        weighed = {}
        for method, parts in joint.items():
            posterior = log_softmax(parts["test"], axis=1)
            weighed[method] = [
                llr.from_posteriors(posterior[a], posterior[b], self.context.prior)
                for a, b in pairs
            ]
        to_fit = draw_pairs(given["train"], PAIRS, seed=1)
        weighed["cosine"] = llr.calibrate(
            *self._cosines_of_pairs(self.vectors.train, to_fit),
            *self._cosines_of_pairs(self.vectors.test, pairs),
        )
        metrics = {}
        for method, kinds in weighed.items():
            metrics |= under(f"verification/{method}", llr.metrics(*kinds))
        return metrics

    def _cosines_of_pairs(self, rows, kinds):
        directions = self._directions(rows)
        return [np.sum(directions[a] * directions[b], axis=1) for a, b in kinds]

    def _directions(self, rows):
        return unit(self.vectors.to_original(rows))


def draw_pairs(labels, count: int, seed: int):
    """Draw pairs of rows of one class, and of two: (first `[M]`, second `[M]`) of each.

    There are as many of each as occur among `count` genuine draws and as many others; a
    row is never paired with itself.
    """
    rng = np.random.default_rng(seed)
    order = np.argsort(labels, kind="stable")
    sizes = np.bincount(labels)
    start = np.cumsum(sizes) - sizes
    first = rng.integers(0, len(labels), count)
    own = labels[first]
    second = order[start[own] + rng.integers(0, sizes[own])]
    kept = first != second
    genuine = first[kept], second[kept]
    first, second = rng.integers(0, len(labels), (2, count))
    kept = labels[first] != labels[second]
    return genuine, (first[kept], second[kept])
