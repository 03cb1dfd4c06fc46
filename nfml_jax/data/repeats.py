"""Pictures that occur twice in a data set, and pictures that show nothing.

A picture that is both trained and tested on makes a result better than it is. Both
faults are easily made in folders of one's own, and nothing else shows them.
"""

import hashlib
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from nfml_jax.data.arrays import ImageData


def faults(data: ImageData) -> list[str]:
    """Return a sentence for each fault of the pictures of a set, as read and resized.

    Pictures that stay in files until they are read are not looked at.
    """
    parts = {"training": data.train, "test": data.test}
    if not all(isinstance(part.images, np.ndarray) for part in parts.values()):
        return []
    trained, tested = (_digests(part.images) for part in parts.values())
    known = {*trained}
    both = sum(digest in known for digest in tested)
    labels = np.concatenate([part.labels for part in parts.values()])
    several = _in_several([*trained, *tested], labels)
    uniform = sum(int(blank(part.images).sum()) for part in parts.values())
    found = {
        f"{both:,} of {len(tested):,} test images are training images, too; take one "
        "of each away, or the result is better than it should be.": both,
        f"{several:,} images occur in several classes; remove them from all but one."
        "": several,
        f"{uniform:,} of {len(labels):,} images have a single color, and show nothing; "
        "look at the files.": uniform,
    }
    return [sentence for sentence, number in found.items() if number]


def faults_of_gallery(images: np.ndarray, names: Sequence[str]) -> list[str]:
    """Return a sentence for each fault of pictures `[N, H, W, C]` of named people."""
    several, uniform = _in_several(_digests(images), names), int(blank(images).sum())
    found = {
        f"{several:,} pictures of the gallery are given to several people; remove them "
        "from all but one.": several,
        f"{uniform:,} pictures of the gallery have a single color, and show nobody; "
        "replace them.": uniform,
    }
    return [sentence for sentence, number in found.items() if number]


def _in_several(digests, labels) -> int:
    """Return the number of pictures that occur with several labels."""
    found = defaultdict(set)
    for digest, label in zip(digests, labels, strict=True):
        found[digest].add(label)
    return sum(len(labels) > 1 for labels in found.values())


def _digests(images) -> list[bytes]:
    return [hashlib.blake2b(image, digest_size=16).digest() for image in images]


def blank(images) -> np.ndarray:
    """Return whether all pixels of an image are alike, for each of `[N, H, W, C]`."""
    images = np.asarray(images)
    found = (images[:, -1:, -1:] == images[:, :1, :1]).all(axis=(1, 2, 3))
    for i in np.flatnonzero(found):  # few, as one pixel rarely equals another
        found[i] = bool((images[i] == images[i, :1, :1]).all())
    return found
