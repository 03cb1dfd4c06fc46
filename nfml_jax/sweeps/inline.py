"""Sweeps on the command line: the product `"head.margin=0.1,0.3 seed=0:5"`.

Values are separated by commas; a:b is the integers from a to below b. Each value is
parsed as the type of the config's field, and None turns a part off. Quotes and brackets
keep their content together.
"""

import ast
import math
import re
from collections.abc import Collection, Mapping
from typing import Any

from nfml_jax.errors import UserError
from nfml_jax.ops.names import flatten
from nfml_jax.sweeps.overrides import (
    Sweep,
    check_count,
    is_open,
    kind_in_words,
    no_field,
    param,
    product,
)

NEW = object()  # stands for the value of a field that the config lacks so far
RANGE = re.compile(r"(-?\d+):(-?\d+)")
TRUTHS = {"true": True, "1": True, "false": False, "0": False}


def is_inline(text: str) -> bool:
    """Return whether a --sweep is an inline sweep, not the name of a file."""
    return re.match(r"\s*[\w./*]*\s*=", text) is not None or not text.strip()


def fields_of(text: str) -> list[str]:
    """Return the fields that an inline sweep sets, in its order."""
    return [part.split("=", 1)[0] for part in _split(text, str.isspace)]


def parse_sweep(text: str, config: Mapping, any_type: Collection[str] = ()) -> Sweep:
    """Return every combination of the values that `text` gives to fields of `config`.

    `any_type` has the dotted fields that take values of several types: a word for one
    of them is read as the number, boolean or text that it looks like.

    Raises UserError for an unknown field, and for values of another type.
    """
    fields = flatten(config)
    parts = []
    for part in _split(text, str.isspace):
        name, equals, values = part.partition("=")
        if not equals:
            raise UserError(
                f"{part!r} in the sweep sets no field; write FIELD=VALUE,VALUE such as "
                "seed=0:5, with quotes around a value that has a space in it."
            )
        if name not in fields and not is_open(name):
            raise no_field(config, name)
        there = NEW if name in any_type else fields.get(name, NEW)
        parts.append(param(name, *_values(name, values, there)))
        check_count(math.prod(map(len, parts)), text)
    if not parts:
        raise UserError('the sweep is empty; write, for example, --sweep="seed=0:5".')
    return product(*parts)


def _values(name: str, text: str, there: Any) -> list:
    values = []
    for word in _split(text, ",".__eq__):
        bounds = RANGE.fullmatch(word)
        if bounds and not isinstance(there, str) and there not in (NEW, None):
            numbers = range(int(bounds[1]), int(bounds[2]))
            check_count(len(values) + max(0, numbers.stop - numbers.start), name)
            values += [type(there)(number) for number in numbers]
        else:
            values.append(_value(name, word, there))
    if not values:
        raise UserError(
            f"the sweep gives {name} no value in {text!r}; write {name}=VALUE,VALUE or "
            "a range a:b, which ends below b."
        )
    return values


def _value(name: str, word: str, there: Any):
    """Return `word` as a value of the type of `there`."""
    if there in (NEW, None) or word == "None":
        return as_literal(word)
    try:
        if isinstance(there, bool):
            return TRUTHS[word.lower()]
        if isinstance(there, int | float):
            return type(there)(word)
        if isinstance(there, str):
            quoted = len(word) > 1 and word[0] in "'\"" and word[0] == word[-1]
            return word[1:-1] if quoted else word
        value = ast.literal_eval(word)
        if isinstance(value, tuple | list) == isinstance(there, tuple | list):
            return value
    except (ValueError, KeyError, SyntaxError):
        pass
    raise UserError(
        f"{name} = {word!r} is not {kind_in_words(type(there))}; the config has "
        f"{there!r}."
    )


def as_literal(text: str) -> Any:
    """Return the number, boolean, None or tuple that a text stands for, or the text.

    >>> as_literal("0.99"), as_literal("true"), as_literal("bfloat16")
    (0.99, True, 'bfloat16')
    """
    try:
        return ast.literal_eval({"true": "True", "false": "False"}.get(text, text))
    except (ValueError, SyntaxError):
        return text


def _split(text: str, separates) -> list[str]:
    """Split `text` at separators outside brackets and quotes."""
    parts, depth, quote = [""], 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        else:
            depth += (character in "([{") - (character in ")]}")
        if separates(character) and depth <= 0 and not quote:
            parts.append("")
        else:
            parts[-1] += character
    return [part for part in parts if part]
