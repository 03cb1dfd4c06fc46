"""Options are checked alike, whoever takes them, with one sentence for an error."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from nfml_jax.errors import UserError
from nfml_jax.ops import checks

NO_NUMBERS = (None, "", "3", [], [3], True, False, math.nan, math.inf, -math.inf, 1j)


@pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
def test_values_that_are_not_numbers_are_refused_by_name(value):
    for check in (checks.check_number, checks.check_integer, checks.check_radians):
        bounds = () if check is checks.check_radians else (0,)
        with pytest.raises(UserError, match=r"^head got m=.*; expected an? .*\.$"):
            check("head", *bounds, m=value)


def test_numbers_of_every_library_are_numbers():
    for value in (1, 1.0, np.float32(1), np.int64(1), np.array(1.0), jnp.ones(())):
        checks.check_number("head", 0, 1, m=value)
    for value in (1, np.int8(1), np.uint64(1), np.array(1), jnp.ones((), int)):
        checks.check_integer("head", 0, 1, m=value)


def test_a_side_with_a_middle_is_odd():
    checks.check_odd("conv", size=3)
    for value, wanted in ((2, "an odd integer"), (0, "an integer of at least 1")):
        with pytest.raises(
            UserError, match=f"conv got size={value}; expected {wanted}"
        ):
            checks.check_odd("conv", size=value)


def test_errors_state_the_bounds_that_are_checked():
    cases = [
        ({"low": 0, "high": 1}, (0, 1), (-1, 2), "in [0, 1]"),
        ({"above": 0, "below": 1}, (0.5,), (0, 1), "in (0, 1)"),
        ({"low": 0, "below": 1}, (0, 0.9), (-0.1, 1), "in [0, 1)"),
        ({"above": 0}, (1e-30, 1e30), (0, 10**400), "above 0"),
        ({"high": 2, "integral": True}, (2.0, -3), (1.5,), "an integer of at most 2"),
    ]
    for bounds, good, bad, words in cases:
        for value in good:
            checks.check_number(None, **bounds, **{"train.x": value})
        for value in bad:
            with pytest.raises(UserError) as caught:
                checks.check_number(None, **bounds, **{"train.x": value})
            assert str(caught.value).startswith("train.x=") and words in str(
                caught.value
            )


def test_integers_must_fit_in_int32():
    for value in (1.0, 10**10, -(10**10), np.float32(2)):
        with pytest.raises(UserError, match="an integer of at least 0"):
            checks.check_integer("loop", 0, steps=value)
    checks.check_integer("loop", 0, 2**40, steps=10**10)


def test_sizes_are_tuples_of_integers():
    for value in ((), (3, 4), [3], np.array([3, 4])):
        checks.check_sizes("maf", hidden=value)
    for value in (64, "64", None, (0,), (2.0,), (True,), ((3,),), {3: 4}, (10**9,)):
        with pytest.raises(UserError, match=r"maf got hidden=.*; expected a tuple of"):
            checks.check_sizes("maf", hidden=value)
    with pytest.raises(UserError, match="a tuple of 2 integers"):
        checks.check_sizes("maf", least=2, most=2, hidden=(1, 2, 3))


def test_flags_texts_and_choices_are_checked():
    checks.check_flag("x", on=np.True_)
    checks.check_text("x", name="")
    checks.check_choice("x", (1, 2, "a"), optional=True, a=2.0, b="a", c=None)
    for check, value in (
        (lambda v: checks.check_flag("x", on=v), 1),
        (lambda v: checks.check_flag("x", on=v), "false"),
        (lambda v: checks.check_text("x", name=v), 3),
        (lambda v: checks.check_text("x", empty=False, name=v), ""),
        (lambda v: checks.check_choice("x", (1, 2), a=v), True),
        (lambda v: checks.check_choice("x", ("a",), a=v), ["a"]),
        (lambda v: checks.check_choice("x", ("a",), a=v), np.array(["a", "b"])),
    ):
        with pytest.raises(UserError, match=r"x got .*; expected"):
            check(value)


def test_a_long_value_is_shortened_in_the_error():
    with pytest.raises(UserError) as caught:
        checks.check_number("head", m="1" * 1000)
    assert len(str(caught.value)) < 120
