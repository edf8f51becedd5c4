"""Errors at the opening of a database that time will not mend: somebody has to set something right."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError

from conversation_kit.domain.errors import ConfigurationError
from conversation_kit_sql.database.dialects.finding import dialect_at
from conversation_kit_sql.database.errors import cause, unavailable


@contextmanager
def opening(url: URL) -> Iterator[None]:
    """Tell what has to be set right as ``ConfigurationError``, and what may be better later as ``StorageUnavailable``."""
    try:
        with unavailable():
            try:
                yield
            except DBAPIError as error:
                advice = dialect_at(url).advice(error, cause(error), url)
                if advice is None:
                    raise
                raise ConfigurationError(advice) from error
    except DBAPIError as error:
        # Not what is told by a server that is away.
        raise ConfigurationError(f"The database cannot be used: {cause(error)}.") from error
