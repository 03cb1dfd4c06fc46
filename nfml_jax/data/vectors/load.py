"""Data sets of vectors by name: `load_vectors("power")` finds, checks, scales one.

To add one, write a function in a file here that returns `LoadedVectors`, and give it a
line in `VECTOR_DATASETS`. Its keyword arguments are the fields of a config's section
"data". A table of several sets of one kind, such as `DENSITIES`, has a line for each.
"""

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from nfml_jax.data.checks import check_shared
from nfml_jax.data.idx_sets import IDX_SETS
from nfml_jax.data.vectors.arrays import LoadedVectors, VectorData, make_vector_data
from nfml_jax.data.vectors.files import load_vector_file
from nfml_jax.data.vectors.image_rows import load_image_rows
from nfml_jax.data.vectors.patches import load_bsds300_patches
from nfml_jax.data.vectors.rows import (
    add_jitter,
    hold_out,
    principal_components,
    shrink_rows,
)
from nfml_jax.data.vectors.tabular import PUBLISHED, load_published
from nfml_jax.data.vectors.uci import UCI, load_uci
from nfml_jax.data.vectors.uci_classes import UCI_CLASSES, load_uci_classes
from nfml_jax.ops.checks import check_flag, check_integer, check_part
from nfml_jax.ops.names import check_names, look_up
from nfml_jax.synthetic.plane import DENSITIES, SPLITS, draw


def load_density(
    density: str,
    *,
    train: int = 10_000,
    validation: int = 10_000,
    test: int = 10_000,
    seed: int = 0,
) -> LoadedVectors:
    """Return independent draws from one of `synthetic.DENSITIES`."""
    sizes = train, validation, test
    counts: dict[str, Any] = dict(zip(SPLITS, sizes, strict=True))
    for part, least in zip(SPLITS, (1, 0, 1), strict=True):
        check_integer(None, least, **{f"data.{part}": counts[part]})
    parts = {split: draw(density, split, n, seed) for split, n in counts.items() if n}
    return LoadedVectors(
        density,
        f"sampler, seed {seed}",
        ("x", "y"),
        train=parts["train"],
        validation=parts.get("validation"),
        test=parts["test"],
    )


VECTOR_DATASETS: dict[str, Callable[..., LoadedVectors]] = {
    "vectors": load_vector_file,
    **{name: partial(load_density, name) for name in DENSITIES},
    **{name: partial(load_published, spec) for name, spec in PUBLISHED.items()},
    "bsds300_patches": load_bsds300_patches,
    **{name: partial(load_uci, spec) for name, spec in UCI.items()},
    **{name: partial(load_uci_classes, name) for name in UCI_CLASSES},
    **{name: partial(load_image_rows, name) for name in IDX_SETS},
}


def load_vectors(
    name: str, *, manual_dir=None, seed: int = 0, standardize: bool = True, **options
) -> VectorData:
    """Return a data set of vectors by name, in memory.

    Args:
      name: one of `VECTOR_DATASETS`.
      manual_dir: folder of manually downloaded files (default `~/nfml_data`).
      seed: the seed of everything drawn here: samples, splits, patches, shrinking,
        noise.
      standardize: to mean 0 and standard deviation 1, by the training rows or as the
        published benchmark does; False keeps the original units.
      **options: options of `prepare_rows`, and of the data set itself, such as `path`
        of `vectors`; values "", () and [] mean not given.

    Raises:
      UserError: if the data set is unknown, unavailable, or unfit for a density.
    """
    check_flag("data", standardize=standardize)
    loaded = load_rows(name, manual_dir=manual_dir, seed=seed, **options)
    return make_vector_data(loaded, standardize)


def load_rows(name: str, *, manual_dir=None, seed: int = 0, **options) -> LoadedVectors:
    """Return the rows of a data set in their original units; see `load_vectors`."""
    check_shared(seed=seed)
    loader = look_up(VECTOR_DATASETS, name, "data set of vectors")
    known = inspect.signature(loader).parameters
    prepared = {key: options.pop(key) for key in PREPARATION & set(options)}
    empty = {
        key
        for key, v in options.items()
        if v is None or (isinstance(v, Sequence) and not v)
    }
    options = {key: value for key, value in options.items() if key not in empty}
    check_names(options, known, f"option of data set {name!r}:")
    check_part(**{f"data.{part}": options[part] for part in SPLITS if part in options})
    common = {"manual_dir": manual_dir, "seed": seed}
    common = {key: value for key, value in common.items() if key in known}
    return prepare_rows(loader(**common, **options), seed=seed, **prepared)


def prepare_vectors(
    loaded: LoadedVectors, *, standardize: bool = True, **options
) -> VectorData:
    """Return a loader's rows in the form of a density's data; see `prepare_rows`."""
    return make_vector_data(prepare_rows(loaded, **options), standardize)


def prepare_rows(
    loaded: LoadedVectors,
    *,
    seed: int = 0,
    held_out: Sequence[str] | str = (),
    components: int = 0,
    max_train: int | None = None,
    max_test: int | None = None,
    jitter: str = "",
) -> LoadedVectors:
    """Return the rows that are used, in their original units.

    Args:
      loaded: the rows that a loader found.
      seed: the seed of the rows drawn where there are too many, and of noise.
      held_out: names of classes to train without, or one text with commas between
        them; rows of them become `outside`, of published sets those of the test.
      components: principal components to keep in place of the columns; 0 for these.
      max_train: train on at most this many rows; None or 0 is all.
      max_test: test on at most this many rows, likewise.
      jitter: "steps" adds uniform noise to discrete columns, as wide as their steps.

    Raises:
      UserError: if the rows do not allow one of these.
    """
    check_shared(max_train=max_train, max_test=max_test)
    named: dict[str, Any] = {"data.components": components}
    check_integer(None, 0, **named)
    loaded = hold_out(loaded, held_out)
    for part, limit in {"train": max_train, "test": max_test}.items():
        loaded = shrink_rows(loaded, part, limit, seed)
    loaded = add_jitter(loaded, jitter, seed)
    return principal_components(loaded, components)


# The fields of a config that belong to the preparation.
PREPARATION = set(inspect.signature(prepare_rows).parameters) - {"loaded", "seed"}
