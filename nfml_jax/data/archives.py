"""Members of a zip or a tar as nested folders, with links inside it followed."""

import re
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import Any, NamedTuple

from nfml_jax.data.file_names import member_parts
from nfml_jax.data.unread import NOWHERE, OVERWRITTEN, SPECIAL, Unread
from nfml_jax.errors import UserError


class _Link(NamedTuple):
    """A link inside an archive: the folder that it lies in, and its target."""

    folder: tuple[str, ...]
    target: str


class Packed:
    """The members of an archive as nested folders; a folder is a dict."""

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
        """List (name, kind, node) of a folder's content, the node None if unread."""
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
        """Return the node that a node's links lead to, None for nothing."""
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


def untar(root: Path, unread: Unread) -> Packed:
    """Return all files, read at once: random access to a compressed tar is slow."""
    packed = Packed()
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
    """Return a member's bytes, a link, None for a folder, or why it isn't read."""
    if member.isdir():
        return None
    if member.issym():
        return _Link(parts[:-1], member.linkname)
    if member.islnk():  # a second name of a member
        return _Link((), "/".join(member_parts(member.linkname)))
    file = archive.extractfile(member) if member.isfile() else None
    return SPECIAL if file is None else file.read()


def zip_members(archive: zipfile.ZipFile, unread: Unread) -> Packed:
    """Return the entries of all members, which are read when they are needed."""
    packed = Packed()
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
    """Return a member's name, decoded as UTF-8 if its bytes allow it."""
    if entry.flag_bits & 0x800:
        return entry.filename
    try:
        return entry.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return entry.filename
