"""The text of a file as UTF-8, from any encoding and compression."""

import bz2
import gzip
import io
import lzma
import zipfile
import zlib

from nfml_jax.errors import UserError

COMPRESSED = (".gz", ".bz2", ".xz", ".zip")
"""Suffixes that may follow that of a table."""

_BINARY = {
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"\x89PNG": "a picture",
    b"%PDF": "a PDF",
    b"\x89HDF": "an HDF5 file",
    b"SQLite": "a database",
}


def read_bytes(name: str, file) -> bytes:
    """Return the content of an open binary file, unpacked if it is compressed.

    Raises:
      UserError: for a damaged archive, or one of several files.
    """
    data = file.read()
    try:
        if data[:2] == b"\x1f\x8b":
            return gzip.decompress(data)
        if data[:3] == b"BZh":
            return bz2.decompress(data)
        if data[:6] == b"\xfd7zXZ\x00":
            return lzma.decompress(data)
        if data[:4] == b"PK\x03\x04":
            return _only_member(name, data)
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
        raise UserError(
            f"{name} is a damaged archive ({error}); make it again, or unpack it."
        ) from error
    return data


def _only_member(name: str, data: bytes) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [m for m in archive.namelist() if not m.endswith("/")]
            if "[Content_Types].xml" in members:
                raise UserError(
                    f"{name} is an Excel workbook; save its sheet as a .csv file."
                )
            if len(members) != 1:
                raise UserError(
                    f"{name} is an archive of {len(members)} files; unpack it, and "
                    "give the table."
                )
            return archive.read(members[0])
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise ValueError(error) from error


def to_utf8(name: str, data: bytes) -> bytes:
    """Return text in UTF-8 without a byte order mark, its lines ended by a newline.

    UTF-16 and UTF-32 are recognized by their mark or by their zero bytes. Text that is
    not UTF-8 is read as Windows-1252, else as Latin-1.

    Raises:
      UserError: if the bytes are no text.
    """
    data = _decoded(name, data)
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return data


def _decoded(name, data):
    for magic, kind in _BINARY.items():
        if data.startswith(magic):
            raise UserError(f"{name} is {kind}; save the table as a .csv file.")
    encoding = _wide_encoding(data)
    if encoding is not None:
        try:
            return data.decode(encoding).removeprefix("\ufeff").encode()
        except UnicodeDecodeError as error:
            raise UserError(
                f"{name} is not the {encoding} that it begins as ({error.reason}); "
                "save it as UTF-8."
            ) from error
    if b"\0" in data[:4096]:
        raise UserError(f"{name} holds bytes that are no text; give a table of text.")
    data = data.removeprefix(b"\xef\xbb\xbf")
    if data.isascii():
        return data
    for encoding in ("utf-8", "cp1252", "latin-1"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        return data if encoding == "utf-8" else text.encode()
    raise AssertionError("Latin-1 decodes all bytes")


def _wide_encoding(data: bytes) -> str | None:
    """Return the UTF-16 or UTF-32 encoding of data, or None."""
    if data[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
        return "utf-32"
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    start = data[:400]
    if len(start) < 4:
        return None
    # Digits and delimiters have one zero byte each.
    even, odd = start[::2].count(0), start[1::2].count(0)
    if odd > len(start) / 3 and even == 0:
        return "utf-16-le"
    if even > len(start) / 3 and odd == 0:
        return "utf-16-be"
    return None
