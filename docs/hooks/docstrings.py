"""An extension of griffe, which reads docstrings and signatures for the API's pages."""

import importlib
import inspect

import griffe

# Arguments that Flax gives every module.
OF_EVERY_MODULE = {"parent", "name"}


def fenced(text: str) -> str:
    """Return a docstring with its examples fenced, so that Markdown leaves them alone.

    An example begins with `>>>` at the margin and ends with an empty line.
    """
    lines, inside = [], False
    for line in text.splitlines():
        example = bool(line.strip()) if inside else line.startswith(">>>")
        if example != inside:
            lines += ["```pycon"] if example else ["```", ""]
            inside = example
        lines.append(line)
    return "\n".join([*lines, "```"] if inside else lines)


class Docstrings(griffe.Extension):
    """An extension that fences examples, and gives classes their runtime signature.

    Fields of dataclasses and of Flax modules are arguments that no source shows.
    """

    def on_object(self, *, obj, **_):
        if not obj.is_alias and obj.docstring:
            obj.docstring.value = fenced(obj.docstring.value)

    def on_class(self, *, cls, **_):
        written = cls.members.get("__init__")
        # The `__init__` of a dataclass, which griffe adds, has no line in the file.
        if (written and written.lineno) or not cls.path.startswith("nfml_jax."):
            return
        module, _, name = cls.path.rpartition(".")
        try:
            kind = getattr(importlib.import_module(module), name)
            found = inspect.signature(kind).parameters.values()
        except (ImportError, AttributeError, ValueError, TypeError):
            return
        parameters = [
            griffe.Parameter("self", kind=griffe.ParameterKind.positional_only)
        ]
        parameters += [
            griffe.Parameter(
                p.name,
                kind=getattr(griffe.ParameterKind, KINDS[p.kind]),
                default=None if p.default is p.empty else _shown(p.default),
            )
            for p in found
            if p.name not in OF_EVERY_MODULE
        ]
        init = griffe.Function("__init__", parameters=griffe.Parameters(*parameters))
        cls.set_member("__init__", init)


KINDS = {
    inspect.Parameter.POSITIONAL_ONLY: "positional_only",
    inspect.Parameter.POSITIONAL_OR_KEYWORD: "positional_or_keyword",
    inspect.Parameter.VAR_POSITIONAL: "var_positional",
    inspect.Parameter.KEYWORD_ONLY: "keyword_only",
    inspect.Parameter.VAR_KEYWORD: "var_keyword",
}


def _shown(value) -> str:
    """Return a default as a signature shows it: a function by its name."""
    return getattr(value, "__name__", None) or repr(value)
