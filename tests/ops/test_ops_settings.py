"""Sections of configs: types, checks, unknown fields, and configs made from them."""

import dataclasses
import importlib
import pkgutil
from collections.abc import Mapping

import pytest

import nfml_jax
from configs.defaults.sections import as_config
from nfml_jax.errors import UserError
from nfml_jax.ops import settings as module
from nfml_jax.ops.settings import Settings, fields_of, further, setting, traced_names


def accept(owner, **values):
    """Accept any value."""


@dataclasses.dataclass(frozen=True)
class Inner(Settings):
    section = "inner"

    rate: float = setting("A rate.", 0.5, traced=True)
    sizes: tuple[int, ...] = setting("Sizes.", (1, 2))
    until: str | None = setting("A duration; None is none.", None)
    either: float | str = setting("A number or a name.", 1.0, check=accept)
    options: Mapping = further("The options of what has the name.")


@dataclasses.dataclass(frozen=True)
class Outer(Settings):
    complete = True

    count: int | None = setting("A count; None is all.")
    inner: Inner = setting("The rest.", Inner())


def test_a_config_made_from_settings_gives_them_back():
    settings = Outer(count=None, inner=Inner(rate=0.25, options={"easy": True}))
    config = as_config(settings)
    assert config.inner.easy and config.count is None
    assert Outer.of(config.to_dict()) == settings
    # A field that is None has its type, and so has one that becomes None.
    config.count, config.inner.until = 3, "5 steps"
    config.inner.until = None
    with pytest.raises(TypeError):
        config.inner.until = 3.0
    config.inner.either = "all"
    assert Outer.of(config.to_dict()).inner.either == "all"


def test_values_are_cast_where_they_are_equal():
    config = {"count": 1, "inner": {"rate": 1, "sizes": [3]}}
    settings = Outer.of(config)
    assert settings.inner.rate == 1.0 and isinstance(settings.inner.rate, float)
    assert settings.inner.sizes == (3,)
    # Fields that the config lacks stay absent.
    cast = settings.cast(config)
    assert cast == {"count": 1, "inner": {"rate": 1.0, "sizes": (3,)}}


@pytest.mark.parametrize(
    "config, sentence",
    [
        ({"inner": {}}, "no field 'count'"),
        ({"count": 1}, "no section 'inner'"),
        ({"count": 1.5, "inner": {}}, "count=1.5; expected an integer"),
        ({"count": True, "inner": {}}, "count=True; expected an integer"),
        ({"count": 1, "inner": 3}, "inner=3; expected a section"),
        ({"count": 1, "inner": {"rate": None}}, "inner.rate=None; expected a number"),
        ({"count": 1, "inner": {"until": ""}}, "inner.until=''; expected a text"),
        ({"count": 1, "inner": {"sizes": "12"}}, "inner.sizes='12'; expected a tuple"),
        ({"count": 1, "inner": {}, "cuont": 2}, r"cuont is not .*mean 'count'"),
    ],
)
def test_values_that_do_not_fit_get_a_sentence(config, sentence):
    with pytest.raises(UserError, match=sentence):
        Outer.of(config)


def test_traced_fields_have_dotted_names():
    assert traced_names(Outer) == {"inner.rate"}


def sections():
    """Import every module that defines sections, and return their classes."""
    for name in ("experiments", "nfml_jax"):
        package = importlib.import_module(name)
        for found in pkgutil.walk_packages(package.__path__, f"{name}."):
            if found.name.rsplit(".", 1)[1] in ("settings", "objectives"):
                importlib.import_module(found.name)
    todo, found = [Settings], []
    while todo:
        new = todo.pop().__subclasses__()
        todo += new
        found += [kind for kind in new if kind.__module__ != __name__]
    return found


def test_every_field_of_every_section_says_what_it_means():
    assert nfml_jax and module
    assert len(sections()) >= 4
    for kind in sections():
        if not kind.__module__.startswith(("nfml_jax.", "experiments.")):
            continue
        assert dataclasses.is_dataclass(kind) and kind.__doc__, kind
        for field, type_of in fields_of(kind):
            doc = field.metadata["doc"]
            assert doc.endswith(".") or ": " in doc, (kind, field.name)
            # The type alone can't check a field of several types.
            assert len(type_of.types) == 1 or field.metadata["check"], field.name


def test_a_module_is_made_of_sections_or_of_plain_values():
    from nfml_jax.loading.recognition import make_classifier
    from nfml_jax.loading.settings import EncoderSettings, HeadSettings

    encoder, head = {"name": "mlp", "embedding_size": 4}, {"name": "arcface"}
    made = EncoderSettings.of(encoder), HeadSettings.of(head)
    assert EncoderSettings.of(made[0]) is made[0]
    assert make_classifier(encoder, head, 3) == make_classifier(*made, 3)
