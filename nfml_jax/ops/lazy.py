"""Public names of a package that are imported when they are first used."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def lazy_exports(
    package: str, modules: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], list[str]]:
    """Return the `__getattr__` and the `__all__` of a package.

    Args:
      package: the package's `__name__`.
      modules: the names that each of its modules gives; a module without names is
        itself a public name.

    A room whose modules take seconds to import thus has a face that costs nothing:

        __getattr__, __all__ = lazy_exports(__name__, {"loop": ["train_and_evaluate"]})
    """
    module_of = {name: module for module, names in modules.items() for name in names}
    public = [*module_of, *(module for module, names in modules.items() if not names)]

    def get(name: str) -> Any:
        if name not in public:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = importlib.import_module(f"{package}.{module_of.get(name, name)}")
        return getattr(module, name) if name in module_of else module

    return get, public
