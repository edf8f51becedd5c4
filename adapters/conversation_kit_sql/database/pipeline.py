"""PostgreSQL through libpq's pipeline: any number of statements in one round trip, at a third of what the driver's cursors take.

psycopg's own pipeline saves the round trips too, but takes more processor time than going without.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from itertools import count
from typing import Any

import psycopg
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult
from psycopg.waiting import Ready, Wait

_BAD, _IDLE = ConnStatus.BAD, TransactionStatus.IDLE
_FAILED, _ABORTED, _SYNCED, _ROWS = ExecStatus.FATAL_ERROR, ExecStatus.PIPELINE_ABORTED, ExecStatus.PIPELINE_SYNC, ExecStatus.TUPLES_OK

_numbers = count()


class Pipeline:
    """Pipeline of one connection, whose transactions are all the kit's own: a host's use of it would make it forget prepared statements."""

    __slots__ = ("_driver", "_names", "_transformer", "failed_to_commit")

    def __init__(self, driver: psycopg.Connection[Any]) -> None:
        self._driver = driver
        self._names: dict[str, bytes] = {}
        self._transformer = Transformer(driver)
        self.failed_to_commit = False
        """True if the error of the last ``run`` is that of its commit, and not that of a statement."""

    def run(self, statements: Sequence[tuple[str, Sequence[Any]]], *, commit: bool = False) -> list[list[Any]]:
        """Return the rows of each statement. Parameters are texts, whole numbers and ``None``; with ``commit`` the transaction ends.

        It begins a transaction as the driver would. Raises the ``psycopg.Error`` of the first statement that fails, and does none of
        the later ones. An error without a broken connection says that the commit has not happened either.
        """
        dumped = [(text, [_dumped(value) for value in values]) for text, values in statements]
        pgconn = self._driver.pgconn
        results: list[PGresult] = []
        lost: psycopg.Error | None = None
        pgconn.enter_pipeline_mode()
        try:
            wanted = self._send(pgconn, dumped, commit=commit)
            self._driver.wait(_exchanged(pgconn, results))
        except psycopg.OperationalError as error:
            lost = error
        finally:
            if pgconn.status != _BAD:
                pgconn.exit_pipeline_mode()
        # The last result is that of the synchronisation.
        self.failed_to_commit = commit and len(results) > 1 and results[-1].status == _SYNCED and results[-2].status == _FAILED
        told = _first_error(results) or lost  # what the server said before it went away says more
        if told is not None:
            self._names.clear()
            raise told
        return [self._rows(results[place]) for place in wanted]

    def _send(self, pgconn: PGconn, statements: Sequence[tuple[str, list[bytes | None]]], *, commit: bool) -> list[int]:
        """Send it all, and return in which places the results of the statements will come."""
        sent = 0
        wanted = []
        if not self._driver.autocommit and pgconn.transaction_status == _IDLE:
            level = self._driver.isolation_level
            pgconn.send_query_params(b"BEGIN" if level is None else f"BEGIN ISOLATION LEVEL {level.name.replace('_', ' ')}".encode(), None)
            sent += 1
        prepares = self._driver.prepare_threshold is not None
        for text, parameters in statements:
            if prepares:
                name = self._names.get(text)
                if name is None:
                    name = self._names[text] = b"conversation_kit_%d" % next(_numbers)
                    pgconn.send_prepare(name, text.encode())
                    sent += 1
                pgconn.send_query_prepared(name, parameters)
            else:
                pgconn.send_query_params(text.encode(), parameters)
            wanted.append(sent)
            sent += 1
        if commit:
            pgconn.send_query_params(b"COMMIT", None)
        pgconn.pipeline_sync()
        return wanted

    def _rows(self, result: PGresult) -> list[Any]:
        if result.status != _ROWS:
            return []
        self._transformer.set_pgresult(result)
        return self._transformer.load_rows(0, result.ntuples, tuple)


def pipeline_of(driver: Any) -> Pipeline | None:
    """Return a pipeline for a driver's connection, if it can have one and nothing out of the ordinary was set on it."""
    if (
        isinstance(driver, psycopg.Connection)
        and psycopg.Pipeline.is_supported()
        and driver.info.encoding == "utf-8"
        and driver.read_only is None
        and driver.deferrable is None
    ):
        return Pipeline(driver)
    return None


def _dumped(value: str | int | None) -> bytes | None:
    if type(value) is int:
        return b"%d" % value
    if value is None:
        return None
    assert isinstance(value, str), value
    text = value.encode()
    if 0 in text:
        raise psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
    return text


def _exchanged(pgconn: PGconn, results: list[PGresult]) -> Generator[Wait, Ready | int, None]:
    """Send what is to be sent and add what comes back to ``results``, the last of which is that of the synchronisation."""
    while pgconn.flush():
        if (yield Wait.RW) & Ready.R:
            pgconn.consume_input()
    while True:
        while pgconn.is_busy():
            while not (yield Wait.R):
                pass
            pgconn.consume_input()
        result = pgconn.get_result()
        if result is not None:
            results.append(result)
            if result.status == _SYNCED:
                return
        elif pgconn.status == _BAD:
            return


def _first_error(results: Sequence[PGresult]) -> psycopg.Error | None:
    for result in results:
        if result.status == _FAILED:
            return error_from_result(result)
    return None
