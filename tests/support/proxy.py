"""A network between a client and a server that a test can break."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from sqlalchemy import URL

CHUNK = 1 << 16
DEADLINE = 30.0


@dataclass
class Cut:
    """Where the connection is to be cut: at the ``at``-th message to the server that ``matches``, before or after the server got it."""

    delivered: bool
    at: int = 1
    matches: Callable[[bytes], bool] = lambda message: True
    happened: threading.Event = field(default_factory=threading.Event)

    def is_now(self, message: bytes) -> bool:
        if self.at == 0 or not self.matches(message):
            return False
        self.at -= 1
        return self.at == 0


@dataclass(eq=False)
class _Link:
    """One connection and its continuation to the server."""

    client: socket.socket
    server: socket.socket
    muted: bool = False
    answered: threading.Event = field(default_factory=threading.Event)

    def close(self) -> None:
        for end in (self.client, self.server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self.answered.set()


class Proxy:
    """Passes on what it gets, and forgets about it when told to."""

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        self.port = 0
        self._connect = connect
        self._listener: socket.socket | None = None
        self._links: set[_Link] = set()
        self._flows = threading.Event()
        self._flows.set()
        self._cut: Cut | None = None
        self.up()

    def up(self) -> None:
        """Take connections."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(64)
        self.port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def down(self) -> None:
        """Refuse connections, and cut those there are."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.cut()

    def cut(self) -> None:
        """Cut all connections there are."""
        for link in list(self._links):
            link.close()

    def stall(self) -> None:
        """Pass nothing on any more, and say nothing about it."""
        self._flows.clear()

    def flow(self) -> None:
        """Pass on again what was held back and what comes."""
        self._flows.set()

    def cut_at(self, cut: Cut) -> Cut:
        """Cut a connection once, at that point, in the place of what was to be cut before."""
        self._cut = cut
        return cut

    def close(self) -> None:
        self.flow()
        self.down()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            link = _Link(client, self._connect())
            for end in (link.client, link.server):
                if end.family == socket.AF_INET:
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._links.add(link)
            if self._listener is not listener:
                link.close()
            for pump in (self._to_server, self._to_client):
                threading.Thread(target=self._run, args=(pump, link), daemon=True).start()

    def _run(self, pump: Callable[[_Link], None], link: _Link) -> None:
        with suppress(OSError):
            pump(link)
        link.close()
        self._links.discard(link)

    def _to_server(self, link: _Link) -> None:
        while message := link.client.recv(CHUNK):
            self._flows.wait()
            if self._cut is not None and self._cut.is_now(message):
                if self._cut.delivered:
                    link.muted = True
                    link.server.sendall(message)
                    link.answered.wait(DEADLINE)
                self._cut.happened.set()
                link.close()
                return
            link.server.sendall(message)

    def _to_client(self, link: _Link) -> None:
        while message := link.server.recv(CHUNK):
            self._flows.wait()
            if link.muted:
                link.answered.set()
            else:
                link.client.sendall(message)


@contextmanager
def proxied(url: str | URL) -> Iterator[tuple[str, Proxy]]:
    """The URL of a database server by way of a proxy."""
    from sqlalchemy import make_url

    server = make_url(url)
    proxy = Proxy(lambda: _connect(server))
    try:
        here = server.set(host="127.0.0.1", port=proxy.port).difference_update_query(["host", "unix_socket"])
        if server.get_backend_name() == "postgresql":
            here = here.update_query_dict({"sslmode": "disable", "gssencmode": "disable"})  # to see what is said
        yield here.render_as_string(hide_password=False), proxy
    finally:
        proxy.close()


def _connect(server: URL) -> socket.socket:
    is_postgres = server.get_backend_name() == "postgresql"
    port = server.port or (5432 if is_postgres else 3306)
    folder = server.query.get("host")
    file = f"{folder}/.s.PGSQL.{port}" if is_postgres and folder else server.query.get("unix_socket")
    if file:
        end = socket.socket(socket.AF_UNIX)
        end.connect(str(file))
        return end
    return socket.create_connection((server.host or "127.0.0.1", port))
