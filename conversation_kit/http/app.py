"""The ASGI application: it finds the API and the operation, authenticates, calls, and answers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from conversation_kit.domain.errors import ConfigurationError, RequestError, Unauthenticated
from conversation_kit.domain.principals import ACL, Principal
from conversation_kit.hooks.invoking import escaped, is_deadly
from conversation_kit.http.live.streams import Streams
from conversation_kit.http.live.websocket import refuse
from conversation_kit.http.serving.api import API, Operation
from conversation_kit.http.serving.base_url import base_url, links_by_base
from conversation_kit.http.serving.body import Disconnected
from conversation_kit.http.serving.errors import HTTPError, answer_error
from conversation_kit.http.serving.long_answers import PIECE, LongAnswer, Outgoing
from conversation_kit.http.serving.mounting import Middleware, Mountable, Receive, Scope, Send, from_litestar, inner_path
from conversation_kit.http.serving.origins import check_origin, check_public_url
from conversation_kit.http.serving.pages import Pages
from conversation_kit.http.serving.query import check_parameters, parse_query
from conversation_kit.http.serving.refusals import Refusals
from conversation_kit.http.serving.request import Mount, Request, wants_stream
from conversation_kit.http.serving.response import Reply, Response
from conversation_kit.http.serving.routing import Routes, allowed
from conversation_kit.ports import Authenticator
from conversation_kit.services.client import Client
from conversation_kit.services.context import KitContext


@dataclass(frozen=True, slots=True)
class Resources:
    """Working parts that all APIs of one kit share; ``docs`` says whether they have pages, ``host_parameters`` are those of the host."""

    context: KitContext
    auth: Authenticator
    streams: Streams
    outgoing: Outgoing
    refusals: Refusals
    docs: bool = True
    host_parameters: Collection[str] = ()


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
        path = inner_path(scope)
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
        self._auth = resources.auth
        self._streams = resources.streams
        self._outgoing = resources.outgoing
        self._refusals = resources.refusals
        self._mount = Mount(resources.refusals, api.acl_versions, api.wire.error, (resources.streams,))
        self._public_url = public_url
        self._public = None if public_url is None else api.links(public_url)
        self._links = links_by_base(api.links)
        self._pages = Pages(api).by_path if resources.docs else {}
        self._routes = Routes(api.operations)
        self._parameters = {one.id: frozenset({*one.query, *one.stream_query, *resources.host_parameters}) for one in api.operations}

    async def http(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request. Whatever goes wrong is answered as the API has its errors."""
        path = inner_path(scope)
        method: str = scope["method"]
        head = method == "HEAD"
        try:
            response = await self._answer(scope, receive, path, method)
        except Disconnected:
            return
        except Exception as error:
            response = self._mount.answer_error(error, path)
        await response.send(send, head=head)
        if self._refusals.pending:
            await self._refusals.tell()

    async def websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one WebSocket. Whatever goes wrong before it is accepted answers its handshake."""
        path = inner_path(scope)
        await receive()
        named: str | None = None
        principal: Principal | None = None
        try:
            links = self._public or self._links(scope)
            check_origin(scope, self._public_url, self._streams.allowed_origins)
            operation, params = self._routes.find("GET", path)
            if operation.socket is None:
                raise HTTPError("http:error:not-found", "No WebSocket is served here; openapi.json says what the path has instead.")
            named = operation.id
            principal = await self._caller(scope, path)
            request = Request(scope, receive, path, params, links, self._mount, Client(self._context, principal))
            if principal.acl is not None:
                await _check_acl(principal.acl, operation, request)
            if request.query_string:
                check_parameters(request.query_string, self._parameters[operation.id], operation.id)
            if principal.create:
                await self._host_of(principal).users.ensure(principal)
            socket = operation.socket(request)
        except Exception as error:
            self._refusals.note(error, named, principal)
            await refuse(self._mount.answer_error(error, path), scope, send)
        else:
            await socket.serve(send)
        await self._refusals.tell()

    async def _caller(self, scope: Scope, path: str) -> Principal:
        """Return the caller: by a ticket if the request opens a stream with one, otherwise as the authenticator has it."""
        query: bytes = scope.get("query_string", b"")
        if b"ticket=" in query and (scope["type"] == "websocket" or wants_stream(scope)):
            ticket = dict(parse_query(query)).get("ticket", "")
            storage = await self._context.storage()
            return await self._streams.tickets.redeem(ticket, path, self._context.clock(), storage.spend)
        try:
            return await self._auth.authenticate(scope)
        except BaseException as error:
            if is_deadly(error):
                raise escaped(self._auth.authenticate, error) from error
            raise

    async def _answer(self, scope: Scope, receive: Receive, path: str, method: str) -> Reply:
        if path in self._pages and method in ("GET", "HEAD"):
            return self._pages[path](self._public_url or base_url(scope))
        if method == "OPTIONS":
            return self._options(path)
        operation, params = self._routes.find(method, path)
        links = self._public or self._links(scope)
        principal: Principal | None = None
        try:
            principal = await self._caller(scope, path)
            request = Request(scope, receive, path, params, links, self._mount, Client(self._context, principal))
            if principal.acl is not None:
                await _check_acl(principal.acl, operation, request)
            if request.query_string:
                check_parameters(request.query_string, self._parameters[operation.id], operation.id)
            reply = await (self._as_new_user(operation, request, principal) if principal.create else operation.endpoint(request))
        except RequestError as error:
            self._refusals.note(error, operation.id, principal)
            raise
        if type(reply) is Response and len(reply.body) > PIECE:
            return self._in_pieces(reply, operation, request, principal)
        return reply

    def _in_pieces(self, response: Response, operation: Operation, request: Request[Any], principal: Principal) -> LongAnswer:
        def refuse(error: HTTPError) -> Response:
            self._refusals.note(error, operation.id, principal)
            return self._mount.answer_error(error, request.path)

        return LongAnswer(response, self._outgoing, principal, request.path, refuse)

    def _host_of(self, principal: Principal) -> Client:
        return Client(self._context, Principal(principal.application_id, trusted=True))

    async def _as_new_user(self, operation: Operation, request: Request[Any], principal: Principal) -> Reply:
        """Serve a user of the host, who is created when the storage does not know them yet."""
        host = self._host_of(principal)
        if not self._context.has_seen(principal) or request.wants_stream:
            await host.users.ensure(principal)
        try:
            return await operation.endpoint(request)
        except Unauthenticated:
            # Seen before, and removed since, maybe by another process.
            await host.users.ensure(principal)
            return await operation.endpoint(request)

    def _options(self, path: str) -> Response:
        methods = self._routes.methods(path)
        return Response(b"", 204, {"Allow": ", ".join(allowed(methods))})


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
