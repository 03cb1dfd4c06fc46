"""Files of a folder, a zip or a tar under relative paths, with links followed."""

import os
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from nfml_jax.data.decoding import is_picture
from nfml_jax.data.file_names import member_parts, readable
from nfml_jax.data.pictures import Look, decode_all
from nfml_jax.data.unread import (
    CIRCLE,
    FRAMES,
    HIDDEN,
    NOWHERE,
    OVERWRITTEN,
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
        """The files with a picture's suffix."""
        return [path for path in self.files if is_picture(path)]

    @property
    def others(self) -> list[PurePosixPath]:
        """The files without a picture's suffix."""
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
    """List everything in a folder, zip or tar but hidden and macOS's own files.

    Links are followed, also those inside an archive. Names of archive members lose
    what no unpacker keeps: a leading `./` or `/`, doubled slashes, `..`, and in a zip
    the backslashes and drive letters of Windows.

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
        packed = _untar(root, unread)
        files, folders = _listed(packed, packed.top, unread)
        yield Tree(root, sorted(files), sorted(folders), files.__getitem__, unread)
        return
    with ExitStack() as opened:
        try:
            archive = opened.enter_context(zipfile.ZipFile(root))
            packed = _members(archive, unread)
        except (zipfile.BadZipFile, zlib.error, OSError, RuntimeError) as error:
            raise UserError(
                f"{root} is not a zip that can be read ({error}); copy it again, or "
                "give a folder, zip or tar of pictures."
            ) from error
        files, folders = _listed(packed, packed.top, unread)
        read = lambda path: archive.read(files[path])  # noqa: E731
        yield Tree(root, sorted(files), sorted(folders), read, unread)


def _listed(source, top, unread: Unread):
    """Return path -> what `source` reads it by, and the paths of all folders.

    A link to a folder around it is not followed, since that would never end.
    """
    files: dict[PurePosixPath, Any] = {}
    folders: list[PurePosixPath] = []
    waiting = [(PurePosixPath(), top, (source.identity(top),))]
    while waiting:
        place, folder, around = waiting.pop()
        for name, kind, node in source.entries(folder):
            path = place / name
            if name.startswith(".") or name in SYSTEM_FOLDERS:
                unread.add(HIDDEN)
            elif kind == "file":
                files[path] = node
            elif kind != "folder":
                unread.add(kind, readable(str(path)))
            elif (identity := source.identity(node)) in around:
                unread.add(CIRCLE, readable(str(path)))
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


class _Link(NamedTuple):
    """A link inside an archive: the folder it lies in and what it leads to."""

    folder: tuple[str, ...]
    target: str


class _Packed:
    """The members of an archive as folders in folders; a folder is a dict."""

    def __init__(self):
        self.top: dict[str, Any] = {}

    def put(self, parts: tuple[str, ...], leaf, unread: Unread) -> None:
        """Put a file's key, a `_Link` or, with None, an empty folder in its place."""
        folder = self.top
        for part in parts[:-1]:
            if not isinstance(folder.setdefault(part, {}), dict):
                unread.add(OVERWRITTEN)
                folder[part] = {}
            folder = folder[part]
        if leaf is None:
            folder.setdefault(parts[-1], {})
            return
        if parts[-1] in folder:
            unread.add(OVERWRITTEN)
        folder[parts[-1]] = leaf

    def entries(self, folder: dict):
        """List (name, kind, node), as `_Disk` does."""
        for name, node in folder.items():
            found = self._followed(node)
            if isinstance(found, dict):
                yield name, "folder", found
            elif found is None or isinstance(found, str):
                yield name, found or NOWHERE, None
            else:
                yield name, "file", found

    def identity(self, folder: dict) -> int:
        return id(folder)

    def _followed(self, node, links: int = 40):
        """Return what a node is once its links are followed, None for nothing."""
        if not isinstance(node, _Link):
            return node
        if not links or node.target.startswith("/"):
            return None
        parts = list(node.folder)
        for part in node.target.split("/"):
            if part == ".." and not parts:
                return None
            if part == "..":
                parts.pop()
            elif part not in ("", "."):
                parts.append(part)
        found: Any = self.top
        for part in parts:
            found = self._followed(found, links - 1)
            if not isinstance(found, dict) or part not in found:
                return None
            found = found[part]
        return self._followed(found, links - 1)


def _untar(root: Path, unread: Unread) -> _Packed:
    """Return all files: a compressed tar is read quickly only from begin to end."""
    packed = _Packed()
    try:
        with tarfile.open(root) as archive:
            for member in archive:
                if parts := member_parts(member.name):
                    packed.put(parts, _content(archive, member, parts), unread)
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise UserError(
            f"{root} is not a tar that can be read ({error}); copy it again."
        ) from error
    return packed


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo, parts):
    """Return a member's bytes, a link, None for a folder, or the kind of the unread."""
    if member.isdir():
        return None
    if member.issym():
        return _Link(parts[:-1], member.linkname)
    if member.islnk():  # a second name of a member
        return _Link((), "/".join(member_parts(member.linkname)))
    return archive.extractfile(member).read() if member.isfile() else SPECIAL


def _members(archive: zipfile.ZipFile, unread: Unread) -> _Packed:
    packed = _Packed()
    for entry in archive.infolist():
        name = re.sub("^[A-Za-z]:", "", _name(entry).replace("\\", "/"))
        parts = member_parts(name)
        if not parts:
            continue
        if entry.flag_bits & 1:
            raise RuntimeError("it is protected by a password, so unpack it first")
        leaf = entry
        if name.endswith("/"):
            leaf = None
        elif stat.S_ISLNK(entry.external_attr >> 16):
            target = archive.read(entry).decode("utf-8", "surrogateescape")
            leaf = _Link(parts[:-1], target)
        packed.put(parts, leaf, unread)
    return packed


def _name(entry: zipfile.ZipInfo) -> str:
    """Return a member's name, as UTF-8 where its bytes are, though none says so."""
    if entry.flag_bits & 0x800:
        return entry.filename
    try:
        return entry.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return entry.filename
