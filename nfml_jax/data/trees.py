"""Files of a folder, a zip or a tar under relative paths, with links followed."""

import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from nfml_jax.data.archives import untar, zip_members
from nfml_jax.data.decoding import is_picture
from nfml_jax.data.look import Look
from nfml_jax.data.pictures import decode_all
from nfml_jax.data.unread import (
    CIRCLE,
    FRAMES,
    HIDDEN,
    NOWHERE,
    SPECIAL,
    Unread,
)
from nfml_jax.errors import UserError

# Folders that a system puts beside a person's files: copies of them or thumbnails.
SYSTEM_FOLDERS = ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information")


@dataclass(frozen=True)
class Tree:
    """Relative paths of files and folders, and a function that reads a file.

    `unread` counts what was found and left out.
    """

    root: Path
    files: list[PurePosixPath]
    folders: list[PurePosixPath]
    read: Callable[[PurePosixPath], bytes]
    unread: Unread = field(default_factory=Unread)

    @property
    def pictures(self) -> list[PurePosixPath]:
        """Return the files with a picture's suffix."""
        return [path for path in self.files if is_picture(path)]

    @property
    def others(self) -> list[PurePosixPath]:
        """Return the files without a picture's suffix."""
        return [path for path in self.files if not is_picture(path)]

    def images(self, paths: Iterable[PurePosixPath], look: Look) -> np.ndarray:
        """Return pictures decoded, uint8 `[N, height, width, channels]`.

        Raises UserError that names those that cannot be read.
        """
        paths = list(paths)
        images, more = decode_all(
            lambda path: look.first_frame(self.read(path)), paths, look, self.root
        )
        self.unread.add_suffixes(
            FRAMES, [path for path, several in zip(paths, more, strict=True) if several]
        )
        return images


@contextmanager
def open_tree(root: Path) -> Iterator[Tree]:
    """List everything in a folder, zip or tar except hidden and macOS's own files.

    Links are followed, also those inside an archive. Names of archive members lose the
    parts that every unpacker drops: a leading `./` or `/`, doubled slashes, `..`, and
    in a zip the backslashes and drive letters of Windows.

    Raises UserError if `root` is none of them.
    """
    unread = Unread()
    if root.is_dir():
        files, folders = _listed(_Disk(), root, unread)
        read = lambda path: (root / path).read_bytes()  # noqa: E731
        yield Tree(root, sorted(files), sorted(folders), read, unread)
        return
    if not root.is_file():
        raise UserError(f"root {root} does not exist; expected a folder or a zip.")
    if tarfile.is_tarfile(root):
        packed = untar(root, unread)
        files, folders = _listed(packed, packed.top, unread)
        yield Tree(root, sorted(files), sorted(folders), files.__getitem__, unread)
        return
    with ExitStack() as opened:
        try:
            archive = opened.enter_context(zipfile.ZipFile(root))
            packed = zip_members(archive, unread)
        except (zipfile.BadZipFile, zlib.error, OSError, RuntimeError) as error:
            raise UserError(
                f"{root} is not a zip that can be read ({error}); copy it again, or "
                "give a folder, zip or tar of pictures."
            ) from error
        files, folders = _listed(packed, packed.top, unread)
        read = lambda path: archive.read(files[path])  # noqa: E731
        yield Tree(root, sorted(files), sorted(folders), read, unread)


def _listed(source, top, unread: Unread):
    """Return path -> the key by which `source` reads it, and the paths of all folders.

    A link to a folder around it is not followed, since that would never end.
    """
    files: dict[PurePosixPath, Any] = {}
    folders: list[PurePosixPath] = []
    waiting: list[tuple[PurePosixPath, Any, tuple]] = [
        (PurePosixPath(), top, (source.identity(top),))
    ]
    while waiting:
        place, folder, around = waiting.pop()
        for name, kind, node in source.entries(folder):
            path = place / name
            if name.startswith(".") or name in SYSTEM_FOLDERS:
                unread.add(HIDDEN)
            elif kind == "file":
                files[path] = node
            elif kind != "folder":
                unread.add(kind, str(path))
            elif (identity := source.identity(node)) in around:
                unread.add(CIRCLE, str(path))
            else:
                folders.append(path)
                waiting.append((path, node, (*around, identity)))
    return files, folders


class _Disk:
    """Folders of the file system; a node is a path."""

    def entries(self, folder: Path):
        """List (name, kind, node); a kind is "file", "folder" or one of the unread."""
        try:
            with os.scandir(folder) as found:
                entries = list(found)
        except OSError as error:
            raise UserError(
                f"{folder} cannot be listed ({error.strerror}); give the right to read "
                "it, or move it away."
            ) from error
        for entry in entries:
            yield entry.name, self._kind(entry), folder / entry.name

    def _kind(self, entry) -> str:
        try:
            if entry.is_dir():
                return "folder"
            if entry.is_file():
                return "file"
            return NOWHERE if entry.is_symlink() else SPECIAL
        except OSError:  # a link to itself
            return NOWHERE

    def identity(self, folder: Path):
        found = os.stat(folder)
        return found.st_dev, found.st_ino
