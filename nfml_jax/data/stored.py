"""Images that stay on disk until they are needed, for folders larger than memory."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from nfml_jax.data.look import Look
from nfml_jax.data.pictures import decode_all, read_picture
from nfml_jax.errors import UserError

SAMPLES = 256  # files
HEAD = 65_536  # bytes


class StoredImages:
    """Picture files as an array uint8 `[N, H, W, C]` that is decoded when it is read.

    Rows by slice or by number are again stored images, one row is its pixels, and
    `np.asarray` decodes all of them. `workers` processes may decode for training; 0
    uses threads. Raises UserError for an unreadable picture when it is read.
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(self, root: Path, paths: Iterable, look: Look, workers: int = 0):
        self._root, self._look, self.workers = root, look, workers
        self._paths = np.array([str(path) for path in paths])

    def __len__(self) -> int:
        return len(self._paths)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return len(self), self._look.height, self._look.width, self._look.channels

    def __getitem__(self, rows):
        paths = self._paths[rows]
        if isinstance(paths, str):
            return read_picture(self._root / paths, self._look)
        return StoredImages(self._root, paths, self._look, self.workers)

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        look = self._look
        images, _ = decode_all(
            lambda path: look.first_frame((self._root / path).read_bytes()),
            self._paths,
            look,
            self._root,
        )
        return images if dtype is None else images.astype(dtype)

    def samples(self) -> np.ndarray:
        """Return the digests of some files' beginnings, uint8 `[files, 32]`.

        The files lie evenly among all: to read them all would take too long.
        """
        digests = []
        for path in self._paths[:: max(1, len(self._paths) // SAMPLES)]:
            try:
                with (self._root / path).open("rb") as file:
                    digests.append(hashlib.sha256(file.read(HEAD)).digest())
            except OSError as problem:
                raise UserError(
                    f"{self._root / path} can't be read ({problem.strerror}); repair "
                    "it, or remove it."
                ) from None
        return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)

    def fingerprint(self) -> bytes:
        """Return the names and sizes of the files; reading them would take too long."""
        sizes = (f"{p}:{(self._root / p).stat().st_size}" for p in self._paths)
        return "\n".join(sizes).encode("utf-8", "surrogateescape")
