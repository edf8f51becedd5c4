"""The ASGI application: it finds the API and the operation, authenticates, calls, and answers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import anyio

from conversation_kit.domain.errors import ConfigurationError, RequestError, TooManyRequests, Unauthenticated
from conversation_kit.domain.principals import ACL, Principal
from conversation_kit.hooks.invoking import escaped, is_deadly
from conversation_kit.http.live.streams import Streams
from conversation_kit.http.live.websocket import refuse
from conversation_kit.http.pages.pages import Pages
from conversation_kit.http.pages.probes import Probes
from conversation_kit.http.serving.api import API, Operation
from conversation_kit.http.serving.base_url import LONGEST_HOST, base_url
from conversation_kit.http.serving.errors import HTTPError, answer_error
from conversation_kit.http.serving.long_answers import PIECE, LongAnswer, Outgoing
from conversation_kit.http.serving.mounting import Middleware, Mountable, Receive, Scope, Send, from_litestar, inner_path
from conversation_kit.http.serving.origins import check_origin, check_public_url
from conversation_kit.http.serving.query import check_parameters, parse_query
from conversation_kit.http.serving.rate_fields import rate_fields
from conversation_kit.http.serving.refusals import Refusals
from conversation_kit.http.serving.request import Disconnected, Mount, Request, idempotency_key_of, wants_stream
from conversation_kit.http.serving.response import Reply, Response
from conversation_kit.http.serving.routing import Routes, Target
from conversation_kit.meters.limiter import begin_telling, told
from conversation_kit.ports import Authenticator
from conversation_kit.services.client import Client
from conversation_kit.services.context import KitContext

REMEMBERED_BASES = 256
"""Number of bases of hrefs that are remembered: nearly all requests to a server have the same one."""

HELD_SECONDS = 0.1
"""Seconds for which the refusal of who is over a limit is held back: who asks again at once would otherwise cost more time than what is
refused."""

SEEN_USERS = 100_000
"""Number of users of the host who are known to be there."""


@dataclass(frozen=True, slots=True)
class Resources:
    """Working parts that all APIs of one kit share; ``docs`` says whether they have pages, ``host_parameters`` are those of the host.

    ``seen`` are the applications and names of users of the host who were there, or created, when they came last.
    """

    context: KitContext
    auth: Authenticator
    streams: Streams
    outgoing: Outgoing
    refusals: Refusals
    docs: bool = True
    host_parameters: Collection[str] = ()
    seen: set[tuple[str, str | None]] = field(default_factory=set)


class App:
    """Serves APIs over ASGI, each below its prefix; one below ``""`` has what the others leave.

    ``kit`` is started and stopped with the server, where the application gets the server's lifespan. Raises ``ConfigurationError``.
    """

    def __init__(self, apis: Mapping[str, API], resources: Resources, kit: Mountable, *, public_url: str | None = None) -> None:
        for prefix in apis:
            if prefix and (prefix[0] != "/" or prefix[-1] == "/"):
                raise ConfigurationError(f"An API is served below a prefix such as /v1, or an empty one, and not {prefix!r}.")
        base = None if public_url is None else check_public_url(public_url)
        longest_first = sorted(apis, key=len, reverse=True)
        self.apis = {prefix: ServedAPI(apis[prefix], resources, None if base is None else base + prefix) for prefix in longest_first}
        self._lifespan = Middleware(_nobody, "", kit)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        if scope["type"] not in ("http", "websocket"):
            raise ConfigurationError(f"The kit serves no ASGI scope of type {scope['type']!r}.")
        if "litestar_app" in scope:
            scope = from_litestar(scope)
        path = inner_path(scope["path"], scope.get("root_path", ""))
        for prefix, served in self.apis.items():
            if not prefix or path == prefix or path.startswith(prefix + "/"):
                if prefix:
                    scope = {**scope, "root_path": scope.get("root_path", "").rstrip("/") + prefix}
                await (served.http if scope["type"] == "http" else served.websocket)(scope, receive, send)
                return
        answer = answer_error(HTTPError("http:error:not-found", "There is no such path."), path)
        if scope["type"] == "http":
            await answer.send(send, head=scope["method"] == "HEAD")
        else:
            await receive()
            await refuse(answer, scope, send)


class ServedAPI:
    """One API of a kit, at one place. ``public_url`` is the base of its hrefs, if they do not follow the request."""

    def __init__(self, api: API, resources: Resources, public_url: str | None = None) -> None:
        self._context = resources.context
        self._limiter = resources.context.limiter
        self._auth = resources.auth
        self._streams = resources.streams
        self._outgoing = resources.outgoing
        self._refusals = resources.refusals
        self._mount = Mount(resources.refusals, api.acl_versions, api.wire.error, (resources.streams,))
        self._seen = resources.seen
        self._public = None if public_url is None else (public_url, api.links(public_url))
        self._bases = lru_cache(maxsize=REMEMBERED_BASES)(self._base_and_links)
        self._make_links = api.links
        pages = Pages(api).by_path if resources.docs else {}
        self._routes = Routes(api.operations, {**pages, **Probes(self._context.storage).by_path})
        self._parameters = {one.id: frozenset({*one.query, *one.stream_query, *resources.host_parameters}) for one in api.operations}

    async def http(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request. Whatever goes wrong is answered as the API has its errors."""
        if self._limiter is not None:
            begin_telling()
        try:
            response = await self._answer(scope, receive)
        except Disconnected:
            return
        except Exception as error:
            response = self._mount.answer_error(error, inner_path(scope["path"], scope.get("root_path", "")))
            if isinstance(error, TooManyRequests):
                await anyio.sleep(HELD_SECONDS)
        if self._limiter is not None and type(response) is Response and (usages := told()):
            response = response.with_headers(rate_fields(usages))
        await response.send(send, head=scope["method"] == "HEAD")
        if self._refusals.pending:
            await self._refusals.tell()

    async def websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one WebSocket. Whatever goes wrong before it is accepted answers its handshake."""
        path, root = scope["path"], scope.get("root_path", "")
        await receive()
        named: str | None = None
        principal: Principal | None = None
        try:
            headers = headers_of(scope)
            base, links = self._public or self._hrefs(scope, headers)
            check_origin(scope, base, self._streams.allowed_origins, is_public=self._public is not None)
            target = self._routes.find("GET", path, root)
            if not isinstance(target, Target) or target.operation.socket is None:
                raise HTTPError("http:error:not-found", "No WebSocket is served here; openapi.json says what the path has instead.")
            operation, named = target.operation, target.operation.id
            principal = await self._caller(scope, headers, target.path)
            request = Request(scope, receive, headers, target.path, target.params, links, self._mount, Client(self._context, principal))
            if principal.acl is not None:
                await _check_acl(principal.acl, operation, request)
            if request.query_string:
                check_parameters(request.query_string, self._parameters[operation.id], operation.id)
            if principal.create:
                await self._ensure(principal)
            socket = target.operation.socket(request)
        except Exception as error:
            self._refusals.note(error, named, principal)
            await refuse(self._mount.answer_error(error, inner_path(path, root)), scope, send)
        else:
            await socket.serve(send)
        await self._refusals.tell()

    async def _caller(self, scope: Scope, headers: Mapping[bytes, bytes], path: str) -> Principal:
        """Return the caller: by a ticket if the request opens a stream with one, otherwise as the authenticator has it."""
        query: bytes = scope.get("query_string", b"")
        if b"ticket=" in query and (scope["type"] == "websocket" or wants_stream(scope, headers)):
            ticket = dict(parse_query(query)).get("ticket", "")
            storage = await self._context.storage()
            return await self._streams.tickets.redeem(ticket, path, self._context.clock(), storage.spend)
        try:
            return await self._auth.authenticate(scope)
        except BaseException as error:
            if is_deadly(error):
                raise escaped(self._auth.authenticate, error) from error
            raise

    async def _answer(self, scope: Scope, receive: Receive) -> Reply:
        target = self._routes.find(scope["method"], scope["path"], scope.get("root_path", ""))
        headers = headers_of(scope)
        base, links = self._public or self._hrefs(scope, headers)
        if not isinstance(target, Target):
            return target(base)
        operation = target.operation
        principal: Principal | None = None
        try:
            principal = await self._caller(scope, headers, target.path)
            key = idempotency_key_of(headers, operation.method, target.path)
            kit = Client(self._context, principal, key)
            request = Request(scope, receive, headers, target.path, target.params, links, self._mount, kit)
            if principal.acl is not None:
                await _check_acl(principal.acl, operation, request)
            if request.query_string:
                check_parameters(request.query_string, self._parameters[operation.id], operation.id)
            if principal.create:
                is_known = (principal.application_id, principal.user_name) in self._seen
                if not is_known or (operation.stream_query and request.wants_stream):
                    await self._ensure(principal)
            try:
                reply = await operation.endpoint(request)
            except Unauthenticated:
                if not principal.create:
                    raise
                # Seen before, and removed since, maybe by another process.
                await self._ensure(principal)
                reply = await operation.endpoint(request)
        except RequestError as error:
            self._refusals.note(error, operation.id, principal)
            raise
        if key is not None and key.is_replayed and isinstance(reply, Response):
            reply = reply.with_headers({"Idempotent-Replayed": "true"})
        if type(reply) is Response and len(reply.body) > PIECE:
            return self._in_pieces(reply, operation, request, principal)
        return reply

    def _in_pieces(self, response: Response, operation: Operation, request: Request[Any], principal: Principal) -> LongAnswer:
        def refuse(error: HTTPError) -> Response:
            self._refusals.note(error, operation.id, principal)
            return self._mount.answer_error(error, request.path)

        return LongAnswer(response, self._outgoing, principal, request.path, refuse)

    def _hrefs(self, scope: Scope, headers: Mapping[bytes, bytes]) -> tuple[str, Any]:
        """Return the base of the hrefs of a request, and what makes them."""
        host = headers.get(b"host", b"")
        if len(host) > LONGEST_HOST:
            host = b""  # nobody's, and it would be remembered
        name, port = scope.get("server") or ("localhost", None)
        return self._bases(scope.get("scheme", "http"), host, name, port, scope.get("root_path", ""))

    def _base_and_links(self, scheme: str, host: bytes, name: str, port: int | None, root: str) -> tuple[str, Any]:
        base = base_url(scheme, host, name, port, root)
        return base, self._make_links(base)

    async def _ensure(self, principal: Principal) -> None:
        """Create a user of the host whom the storage does not know yet."""
        await Client(self._context, Principal(principal.application_id, trusted=True)).users.ensure(principal)
        if len(self._seen) >= SEEN_USERS:
            self._seen.clear()
        self._seen.add((principal.application_id, principal.user_name))


def headers_of(scope: Scope) -> Mapping[bytes, bytes]:
    """Return the headers of a request by their names, in lower case; of one that comes several times the first."""
    return dict(reversed(scope["headers"]))


async def _nobody(scope: Scope, receive: Receive, send: Send) -> None:
    """Do nothing, as a host without a lifespan of its own."""


async def _check_acl(acl: ACL, operation: Operation, request: Request[Any]) -> None:
    fields = await _read_fields(operation, request) if acl.reads_fields else {}
    request.check_covered(acl, operation.method, request.path, fields)


async def _read_fields(operation: Operation, request: Request[Any]) -> Mapping[str, Any]:
    """Return the fields that the operation reads of this request, for the filters of an access list."""
    is_socket = request.scope["type"] == "websocket"
    if not (is_socket or (request.wants_stream and operation.stream_query)):
        return await request.fields(operation.body or operation.older_body, operation.query)
    fields = await request.fields(None, operation.stream_query)
    position = request.header(b"last-event-id")
    return {**fields, "after": position} if position else fields  # the header goes before the parameter
