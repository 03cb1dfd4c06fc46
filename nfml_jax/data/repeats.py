"""Pictures that occur twice in a data set, and pictures that show nothing.

A picture that is both trained and tested on makes a result better than it is. Both
faults are easily made in folders of one's own, and nothing else shows them.
"""

import hashlib
from collections import defaultdict

import numpy as np

from nfml_jax.data.arrays import ImageData


def faults(data: ImageData) -> list[str]:
    """Return a sentence for each fault of the pictures of a set, as read and resized.

    Pictures that stay in files until they are read are not looked at.
    """
    parts = {"training": data.train, "test": data.test}
    if not all(isinstance(part.images, np.ndarray) for part in parts.values()):
        return []
    digests = {name: _digests(part.images) for name, part in parts.items()}
    labels = defaultdict(set)
    for name, part in parts.items():
        for digest, label in zip(digests[name], part.labels, strict=True):
            labels[digest].add(int(label))
    trained = {*digests["training"]}
    both = sum(digest in trained for digest in digests["test"])
    several = sum(len(found) > 1 for found in labels.values())
    blank = sum(_blank(part.images) for part in parts.values())
    count, tested = sum(map(len, digests.values())), len(digests["test"])
    found = {
        f"{both:,} of {tested:,} test images are training images, too; take one of "
        "each away, or the result is better than it should be.": both,
        f"{several:,} images occur in several classes; remove them from all but one."
        "": several,
        f"{blank:,} of {count:,} images have a single color, and show nothing; look "
        "at the files.": blank,
    }
    return [sentence for sentence, number in found.items() if number]


def _digests(images) -> list[bytes]:
    return [hashlib.blake2b(image, digest_size=16).digest() for image in images]


def _blank(images) -> int:
    """Return the number of images whose pixels are all alike."""
    first = images[:, :1, :1]
    return sum(
        bool((images[i] == first[i]).all())
        for i in np.flatnonzero((images[:, -1:] == first).all(axis=(1, 2, 3)))
    )
