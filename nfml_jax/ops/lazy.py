"""Public names of a package that are imported on first use."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nfml_jax.ops.extras import explain_missing


def lazy_exports(
    package: str, modules: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], list[str]]:
    """Return the `__getattr__` and the `__all__` of a package.

    The face of a room whose modules take seconds to import then costs nothing. A name
    whose module needs a package that is not installed raises `MissingExtra`.

    Args:
      package: the package's `__name__`.
      modules: the public names of each module; a module without names is a public name
        itself.

    >>> modules = {"units": ["format_flops"], "names": []}
    >>> get, public = lazy_exports("nfml_jax.ops", modules)
    >>> public
    ['format_flops', 'names']
    >>> get("format_flops")(2.5e9)
    '2.5 GFLOP'
    """
    module_of = {name: module for module, names in modules.items() for name in names}
    public = [*module_of, *(module for module, names in modules.items() if not names)]

    def get(name: str) -> Any:
        if name not in public:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            module = importlib.import_module(f"{package}.{module_of.get(name, name)}")
        except ImportError as problem:
            raise explain_missing(problem, f"{package}.{name}") or problem from problem
        return getattr(module, name) if name in module_of else module

    return get, public
