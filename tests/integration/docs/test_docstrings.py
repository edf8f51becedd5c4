"""The docstrings that the reference shows are there, and begin with a noun or a verb."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from tests.integration.docs.repository import DOCUMENTED


def resolved(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    return getattr(import_module(module), attribute)


def docstrings(name: str) -> Iterator[tuple[str, str]]:
    """The docstrings of an object and of its public members that are the kit's own."""
    shown = resolved(name)
    if not (inspect.isclass(shown) or inspect.isroutine(shown)):
        return
    yield name, shown.__doc__ or ""
    if not inspect.isclass(shown) or name.endswith("Contract"):  # whose members are tests
        return
    for member, value in inspect.getmembers_static(shown):
        owner = next((one for one in shown.__mro__ if member in vars(one)), type)
        if member.startswith("_") or not owner.__module__.startswith("conversation_kit"):
            continue
        value = value.__func__ if isinstance(value, classmethod | staticmethod) else value
        if inspect.isfunction(value) or isinstance(value, property):
            text = value.__doc__ or next(
                (vars(one)[member].__doc__ for one in shown.__mro__ if getattr(vars(one).get(member), "__doc__", None)), ""
            )
            yield f"{name}.{member}", text


@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_public_docstring_begins_with_a_noun_or_a_verb(name: str) -> None:
    wrong = {
        where: text[:60] for where, text in docstrings(name) if not text or re.match(r"(What|Those|Whether|Who|Where|How|Which)\b", text)
    }
    assert wrong == {}
