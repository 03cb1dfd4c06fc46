"""The fields of the JSON files of a run directory, and checks of their kinds."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from nfml_jax.ops.scalars import is_integer

# The statuses of a run; a trial of a sweep that has not begun is pending.
STATUSES = (
    "pending",
    "running",
    "done",
    "interrupted",
    "diverged",
    "pruned",
    "failed",
)

# The format of a saved model: a greater number when its files change.
SAVED_FORMAT = "nfml_jax model 1"


def problem_of(content: Any, fields: Mapping) -> str:
    """Describe the fault in the fields of a JSON object; "" if there is none.

    `fields` maps names to kinds. A kind is a nested mapping of fields, or a predicate
    whose name says what it accepts. A name that ends in "?" may be absent.
    """
    if not isinstance(content, dict):
        return f"it is {_shown(content)} and not an object"
    missing = [n for n in fields if not n.endswith("?") and n not in content]
    if missing:
        return f"it has no {', '.join(sorted(missing))}"
    for field, kind in fields.items():
        name = field.removesuffix("?")
        value = content.get(name)
        if name not in content:
            continue
        if isinstance(kind, Mapping):
            problem = problem_of(value, kind)
            if problem:
                return (
                    f"in its {name}, {problem}"
                    if isinstance(value, dict)
                    else (f"its {name} is {_shown(value)} and not an object")
                )
        elif not kind(value):
            expected = kind.__name__.strip("_").replace("_", " ")
            return f"its {name} is {_shown(value)} and not {expected}"
    return ""


def _a_text(value: Any) -> bool:
    return isinstance(value, str)


def _a_count(value: Any) -> bool:
    return is_integer(value) and 0 <= value < 2**63


def _a_truth(value: Any) -> bool:
    return isinstance(value, bool)


def _a_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _an_object(value: Any) -> bool:
    return isinstance(value, dict)


def _a_list_of_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_a_text, value))


def _a_list_of_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(map(_a_number, value))


def _a_list_of_objects(value: Any) -> bool:
    return isinstance(value, list) and all(map(_an_object, value))


def _a_list_of_counts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_a_count, value))


def _an_object_of_numbers(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_a_number, value.values()))


def _an_object_of_texts(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_a_text, value.values()))


def _or_null(kind: Callable[[Any], bool]) -> Callable[[Any], bool]:
    def known(value: Any) -> bool:
        return value is None or kind(value)

    known.__name__ = f"{kind.__name__} or null"
    return known


def _one_of(*choices: str) -> Callable[[Any], bool]:
    def known(value: Any) -> bool:
        return isinstance(value, str) and value in choices

    known.__name__ = f"one of {', '.join(choices)}"
    return known


NAMED = {"name": _a_text}

# The sections of a config that are read outside its own experiment.
CONFIG = {
    "name": _a_text,
    "seed": _a_count,
    "experiment?": _a_text,
    "data?": {"name?": _a_text},
    "encoder?": NAMED,
    "head?": NAMED,
    "objective?": NAMED,
    "loss?": NAMED,
    "energy?": NAMED,
    "flow?": {"recipe": _a_text},
    "train?": {},
    "optimizer?": {},
    "augment?": {},
    "report?": {},
    "metric?": {},
}

STATUS = {
    "status": _one_of(*STATUSES),
    "step?": _a_count,
    "error?": _a_text,
}

MODEL = {
    "loader?": _a_text,
    "best?": _or_null(_a_text),
    "num_classes?": _a_count,
    "class_names?": _a_list_of_texts,
    "classes?": _a_list_of_texts,
    "image_shape?": _a_list_of_counts,
    "event_dim?": _a_count,
    "shift?": _a_list_of_numbers,
    "scale?": _a_list_of_numbers,
    "context?": _or_null(_an_object),
}

DATA = dict.fromkeys(("name?", "source?", "digest?", "fingerprint?"), _a_text)

RESULT = {
    "name": _a_text,
    "seed": _a_count,
    "data": DATA | {"name": _a_text},
    "metrics": _an_object_of_numbers,
    "config?": {"experiment?": _a_text, "data?": {}},
    "model?": MODEL,
    "reported?": {"checkpoint": _one_of("last", "best"), "step": _a_count},
    "status?": _one_of(*STATUSES),
    "error?": _a_text,
    "steps?": _a_count,
    "wall_s?": _a_number,
}

PROGRESS = {"step": _a_count, "total": _a_count}

# The values that a search asked for, and the limits that it gives to a trial.
SEARCH = {"search": _a_text, "seed": _a_count, "asked": _a_list_of_objects}

LIMITS = {
    "metric": _a_text,
    "maximize": _a_truth,
    "steps": _a_list_of_counts,
    "values": _a_list_of_numbers,
}

# The config.json of a model that was saved to be shared.
SAVED = {
    "format": _one_of(SAVED_FORMAT),
    "loader": _a_text,
    "step": _a_count,
    "model": MODEL,
    "config": CONFIG,
    "threshold": _or_null(_a_number),
    "result": _or_null(_an_object),
    "checksum": _a_count,
    "digest": _a_text,
}

# The fields of a checkpoint's meta.
META = {
    "step": _a_count,
    "model?": MODEL,
    "leaves": _an_object_of_texts,
    "checksums": {"model": _a_count, "optimizer": _a_count},
    "rank?": _or_null(_a_number),
    "meter?": {"count": _a_count, "sums": _an_object_of_numbers},
    "lines?": _a_count,
    "wall_s?": _a_number,
    "cpu_s?": _a_number,
    "data?": DATA,
}


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
