"""One-shot classification by embeddings: episodes of the test, and Omniglot's runs."""

from collections.abc import Callable

import numpy as np

from experiments.settings import PictureData, PictureSettings
from nfml_jax.data.omniglot import MIXED, load_omniglot_runs
from nfml_jax.evaluation import one_shot

WITHIN = "20_way_within_alphabets"


def accuracies(
    settings: PictureSettings, embed: Callable, embeddings, labels
) -> dict[str, float]:
    """Return the accuracies that `settings.one_shot` asks for.

    `embeddings [N, D]` and `labels [N]` are those of the test; `embed` takes the images
    of the 20 runs of Lake et al. (2015), which are found as the other data were.
    These runs are left out if some of their characters were trained on (`unmeasured`).
    """
    metrics, asked = {}, settings.one_shot
    assert asked is not None  # or nothing is measured
    for ways in asked.ways:
        for shots in asked.shots:
            found = one_shot.episodes(
                embeddings,
                labels,
                ways,
                shots,
                asked.queries,
                asked.episodes,
            )
            metrics[f"{ways}_way_{shots}_shot"] = found["accuracy"]
            metrics[f"{ways}_way_{shots}_shot_ci95"] = found["accuracy_ci95"]
    if asked.runs and not unmeasured(settings):
        found = _runs(settings.data, embed)
        metrics[WITHIN] = found["accuracy"]
        metrics[f"{WITHIN}_error"] = found["accuracy_error"]
    return metrics


def unmeasured(settings: PictureSettings) -> dict[str, str]:
    """Return the named metrics that cannot be measured, each with its requirement."""
    asked = settings.one_shot is not None and settings.one_shot.runs
    if not asked or settings.data.split not in MIXED:
        return {}
    return {f"one_shot/{WITHIN}": "characters that data.split keeps from training"}


def _runs(data: PictureData, embed: Callable) -> dict[str, float]:
    given = load_omniglot_runs(
        manual_dir=data.manual_dir, data_dir=data.data_dir, image_size=data.image_size
    )
    labels = np.arange(given.support.shape[1])
    return one_shot.runs(
        (embed(support), labels, embed(query), answers)
        for support, query, answers in zip(
            given.support, given.query, given.answers, strict=True
        )
    )
