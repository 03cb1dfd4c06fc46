"""Names of files as text that can be compared, written and drawn."""

import unicodedata


def readable(name: str) -> str:
    r"""Return a file's name as text that every program accepts.

    Unicode's composed and decomposed forms of a name become the same. Bytes that are
    not UTF-8 become escapes such as `\xe9`.
    """
    of_bytes = name.encode("utf-8", "surrogateescape")
    text = of_bytes.decode("utf-8", "backslashreplace")
    return unicodedata.normalize("NFC", text)


def member_parts(name: str) -> tuple[str, ...]:
    """Return the folders and the name of a path without `.`, `..` and empty ones."""
    return tuple(part for part in name.split("/") if part not in ("", ".", ".."))


def one_line(name: str) -> str:
    r"""Return a name with each character that is not printable escaped.

    >>> print(one_line("new\nline"), one_line("Zoë"))
    new\nline Zoë
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in name)
