from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.support.logs import kept_logging

# How long an example takes says how busy the machine is: other tests run beside it.
settings.register_profile("side by side", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("side by side")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    """What a host sets up in one test, another one that counts what is logged does not see."""
    with kept_logging():
        yield
