"""The exception tree: complete, and with one base."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import pytest
import tannoy
from tannoy.shared import errors
from tannoy.shared.codes import ErrorCode
from tannoy.shared.errors import BadRequest, LimitReached, Refused, TannoyError, Unavailable, internal_error

LAYERS = ("client", "embedding", "fanout", "node", "sdk", "shared")


def _exceptions() -> Iterator[type[BaseException]]:
    """Every exception class that a module of a layer defines."""
    for found in pkgutil.walk_packages(tannoy.__path__, "tannoy."):
        if found.name.split(".")[1] in LAYERS and not found.name.endswith("__main__"):
            for value in vars(importlib.import_module(found.name)).values():
                if inspect.isclass(value) and issubclass(value, BaseException) and value.__module__ == found.name:
                    yield value


def test_every_exception_of_tannoy_is_a_tannoy_error() -> None:
    found = set(_exceptions())

    assert len(found) > 10
    assert {error.__name__ for error in found if not issubclass(error, TannoyError)} == set()


def test_the_docstring_of_the_tree_names_every_direct_subclass() -> None:
    direct = {error.__name__ for error in _exceptions() if error.__base__ is TannoyError}

    assert {name for name in direct if name not in (errors.__doc__ or "")} == set()


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (BadRequest("x"), ErrorCode.BAD_REQUEST),
        (Unavailable("x"), ErrorCode.UNAVAILABLE),
        (Refused("x", code=ErrorCode.FORBIDDEN), ErrorCode.FORBIDDEN),
        (internal_error(), ErrorCode.INTERNAL),
    ],
)
def test_a_refusal_has_the_code_of_its_class_or_the_given_one(refusal: Refused, code: ErrorCode) -> None:
    assert refusal.code is code


def test_unavailable_may_be_repeated_after_a_second() -> None:
    assert (Unavailable("x").retry_after, BadRequest("x").retry_after) == (1.0, None)


def test_limit_reached_names_the_owner_and_both_numbers() -> None:
    assert str(LimitReached("agent", "42", 3, 3)) == "agent 42 has 3 sessions, 3 are allowed"
