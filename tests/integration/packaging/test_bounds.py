"""The lower bounds of ``pyproject.toml`` are what the tests with the oldest dependencies run with."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
OLDEST = {"starlette": "0.40", "fastapi": "0.115.3", "sqlalchemy": "2.0.36", "sqlmodel": "0.0.22", "pydantic": "2.9"}
"""What applications of the last two years have."""


def bounds(requirements: list[str]) -> dict[str, Version]:
    found: dict[str, Version] = {}
    for requirement in map(Requirement, requirements):
        name = canonicalize_name(requirement.name)
        if name == "conversation-kit":
            continue
        (lowest,) = (Version(one.version) for one in requirement.specifier if one.operator == ">=")
        found[name] = max(lowest, found.get(name, lowest))
    return found


def pinned(file: str) -> dict[str, set[Version]]:
    found: dict[str, set[Version]] = {}
    for line in (ROOT / file).read_text().splitlines():
        if line and not line.startswith("#"):
            name, _, version = line.partition(";")[0].strip().partition("==")
            found.setdefault(canonicalize_name(name), set()).add(Version(version))
    return found


def required(*extras: str) -> dict[str, Version]:
    """What is installed with these extras, and what it must be at least."""
    return bounds([*PROJECT["dependencies"], *(one for extra in extras for one in EXTRAS[extra])])


def test_the_oldest_dependencies_are_the_lower_bounds() -> None:
    constraints = pinned("constraints-lowest.txt")
    hosts = {name: bound for name, bound in required("dev").items() if name in OLDEST}
    lowest = {**hosts, **required("sql", "postgres", "mysql", "redis", "nats", "cli", "testing")}
    wrong = {name: (bound, constraints.get(name)) for name, bound in lowest.items() if constraints.get(name) != {bound}}
    assert not wrong, "run `make lowest-constraints`"


def test_everything_that_is_installed_for_the_tests_has_a_tested_version() -> None:
    constraints = pinned("constraints.txt")
    everything = required(*EXTRAS)
    assert not {name for name, lowest in everything.items() if min(constraints.get(name, {Version("0")})) < lowest}


@pytest.mark.parametrize("name", OLDEST)
def test_applications_of_the_last_two_years_can_install_it(name: str) -> None:
    assert required("sql", "dev")[name] <= Version(OLDEST[name])
