"""The published data sets of four IDX files, identified by their digests."""

from dataclasses import dataclass

import numpy as np

from nfml_jax.data import idx

# The version of the tfds builders in builders.py; raise it when their records change.
PREPARED_VERSION = "1.0.0"


@dataclass(frozen=True)
class IdxSet:
    """A published data set of four IDX files.

    `md5` is of the plain files, `gz_md5` of the published .gz ones, both by part.
    `mirror` is the address the .gz names are appended to. `system_package` is the name
    in distributions, and `system_dir` the folder of that package.
    """

    name: str
    title: str
    class_names: tuple[str, ...]
    md5: dict[str, str]
    gz_md5: dict[str, str]
    mirror: str
    homepage: str
    system_package: str | None = None
    system_dir: str | None = None

    @property
    def builder_name(self) -> str:
        """The name of its builder in tfds."""
        return f"nfml_{self.name}"

    def is_published(self, parts: dict[str, np.ndarray]) -> bool:
        """Return whether four arrays are this data set, byte for byte."""
        return idx.md5s(parts) == self.md5


MNIST = IdxSet(
    name="mnist",
    title="MNIST",
    class_names=tuple("0123456789"),
    md5={
        "train-images": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels": "a25bea736e30d166cdddb491f175f624",
        "t10k-images": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels": "27ae3e4e09519cfbb04c329615203637",
    },
    gz_md5={
        "train-images": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels": "ec29112dd5afa0611ce80d1b7f02629c",
    },
    mirror="https://storage.googleapis.com/cvdf-datasets/mnist/",
    homepage="http://yann.lecun.com/exdb/mnist/",
)

FASHION_MNIST = IdxSet(
    name="fashion_mnist",
    title="Fashion-MNIST",
    class_names=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    md5={
        "train-images": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "train-labels": "9018921c3c673c538a1fc5bad174d6f9",
        "t10k-images": "8181f5470baa50b63fa0f6fddb340f0a",
        "t10k-labels": "15d484375f8d13e6eb1aabb0c3f46965",
    },
    gz_md5={
        "train-images": "cf8536b0aa1a6ac5fa3f23001093305c",
        "train-labels": "10bea18fdb374794d4bb42e356e600c9",
        "t10k-images": "f78720b4224f21cce2f2ccf2d7a94c9a",
        "t10k-labels": "0d30e22e447f3c33dab9ed536400ac01",
    },
    mirror="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    homepage="https://github.com/zalandoresearch/fashion-mnist",
    system_package="dataset-fashion-mnist",
    system_dir="/usr/share/datasets/fashion-mnist",
)

# By name. A set that is described above needs only its place here: its builder for
# tfds, its pictures in `DATASETS` and its rows in `VECTOR_DATASETS` follow.
IDX_SETS = {spec.name: spec for spec in (MNIST, FASHION_MNIST)}
