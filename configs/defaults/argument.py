"""The argument that may follow a config's name: `configs/X.py:NAME,SIZE,smoke`."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from nfml_jax.errors import UserError
from nfml_jax.ops.names import look_up


class Argument(NamedTuple):
    """A config's argument in parts; `smoke` is "smoke" or "", as `finish` takes it."""

    name: str
    size: int | None
    smoke: str


def read_argument(
    arg: str | None,
    name: str,
    size: int | None = None,
    choices: Mapping[str, Any] | None = None,
) -> Argument:
    """Parse NAME, SIZE and "smoke", in any order and each of them optional.

    `name` and `size` are the defaults; without a default there is no SIZE. Raises
    UserError for two names or two sizes, and for a name that is not in `choices`.
    """
    words = [word for word in (arg or "").split(",") if word]
    smoke = "smoke" if "smoke" in words else ""
    words = [word for word in words if word != "smoke"]
    sizes = [word for word in words if size is not None and word.isdecimal()]
    names = [word for word in words if word not in sizes]
    if len(names) > 1 or len(sizes) > 1:
        kinds = "a name" if size is None else "a name, an embedding size"
        raise UserError(
            f"the config's argument is {arg!r}; expected {kinds} and smoke, each at "
            "most once, with commas between them."
        )
    if choices is not None and names:
        look_up({**choices, "smoke": None}, names[0], "the config's argument")
    return Argument(*(names or [name]), *(map(int, sizes) if sizes else [size]), smoke)


def take_encoder(arg: str | None, default: str) -> tuple[str, str]:
    """Return the encoder that a config's argument names, and the rest of the argument.

    The encoder is `default` if none is named. Raises UserError for two of them.
    """
    from nfml_jax.nets import NETS  # imported here, since it imports JAX

    return _take(arg, default, NETS, "encoder")


def take_pixels(arg: str | None, default: str) -> tuple[str, str]:
    """Return the set of images that a config's argument names, and the rest of it.

    The set is `default` if none is named. Raises UserError for two of them.
    """
    from nfml_jax.data.pixels import PIXEL_DATASETS  # imported here, as NETS is

    return _take(arg, default, PIXEL_DATASETS, "data set")


def _take(arg, default, names, kind) -> tuple[str, str]:
    words = (arg or "").split(",")
    named = [word for word in words if word in names]
    if len(named) > 1:
        raise UserError(
            f"the config's argument is {arg!r}; expected one {kind}, not "
            f"{' and '.join(named)}."
        )
    rest = ",".join(word for word in words if word not in names)
    return (named or [default])[0], rest
