"""The ASGI application below the mount: authenticate, route, call, answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from conversation_kit.domain.errors import Forbidden, Unauthenticated
from conversation_kit.domain.principals import ACL, Principal
from conversation_kit.http import conversations, events, feeds, legs, members, sockets, tickets, users
from conversation_kit.http.calls import Call, Disconnected
from conversation_kit.http.errors import DoorError, answer_error
from conversation_kit.http.links import Links, base_url
from conversation_kit.http.mounting import Receive, Scope, Send, inner_path
from conversation_kit.http.operations import Operation, Routes, allowed
from conversation_kit.http.pages import Pages
from conversation_kit.http.responses import Answer, Reply
from conversation_kit.http.sockets import Permit, Socket, check_origin, refuse
from conversation_kit.http.streams import Streams
from conversation_kit.ports import Authenticator
from conversation_kit.services.acting import Acting
from conversation_kit.services.core import Core

OPERATIONS: tuple[Operation, ...] = (
    *conversations.OPERATIONS,
    *members.OPERATIONS,
    *events.OPERATIONS,
    *users.OPERATIONS,
    *legs.OPERATIONS,
)
EXTENSIONS: tuple[Operation, ...] = (*tickets.EXTENSIONS, *feeds.EXTENSIONS)
"""What the kit has beside the API."""

SOCKETS: Mapping[str, Callable[[Call, Permit], Socket[Any]]] = {"getEvents": sockets.events, "getUserEvents": feeds.socket}
"""The operations that a WebSocket may be opened for."""


class Door:
    """Serves the API over ASGI."""

    def __init__(
        self,
        core: Core,
        auth: Authenticator,
        streams: Streams,
        *,
        public_url: str | None = None,
        pages: Pages | None = None,
    ) -> None:
        self._core = core
        self._auth = auth
        self._streams = streams
        self._public = Links(public_url.rstrip("/")) if public_url else None
        self._pages = pages
        self._routes = Routes((*OPERATIONS, *EXTENSIONS))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request. Whatever goes wrong is answered in JSON."""
        path = inner_path(scope)
        method: str = scope["method"]
        head = method == "HEAD"
        try:
            answer = await self._answer(scope, receive, path, method)
        except Disconnected:
            return
        except Exception as error:
            answer = answer_error(error, path)
        await answer.send(send, head=head)

    async def socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one WebSocket. Whatever goes wrong before it is accepted answers its handshake."""
        path = inner_path(scope)
        await receive()
        try:
            links = self._public or Links(base_url(scope))
            check_origin(scope, (base_url(scope), links.base), self._streams.allowed_origins)
            operation, params = self._routes.find("GET", path)
            if operation.id not in SOCKETS:
                raise DoorError("http:error:not-found", "No WebSocket is served here: the events of a conversation or a user are one.")
            call = self._call(scope, receive, path, params, links)
            principal = await self._caller(call)
            if principal.acl is not None:
                await self._check_acl(principal, operation.method, call)
            call.acting = Acting(self._core, principal)
            if principal.create:
                await self._host_of(principal).users.ensure(principal)

            def permit(conversation_id: str, fields: Mapping[str, Any]) -> None:
                if principal.acl is not None:
                    _check_covered(principal.acl, "POST", call, f"/conversations/{conversation_id}/events", fields)

        except Exception as error:
            await refuse(answer_error(error, path), scope, send)
        else:
            await SOCKETS[operation.id](call, permit).serve(send)

    def _call(self, scope: Scope, receive: Receive, path: str, params: Mapping[str, str], links: Links) -> Call:
        call = Call(scope, receive, path, params, links)
        call.streams = self._streams
        return call

    async def _caller(self, call: Call) -> Principal:
        """Who calls: by a ticket where it opens a stream, otherwise as the authenticator has it."""
        if b"ticket=" in call.query_string and (call.scope["type"] == "websocket" or call.wants_stream):
            return self._streams.tickets.redeem(call.query.get("ticket", ""), call.path, self._core.clock())
        return await self._auth.authenticate(call.scope)

    async def _answer(self, scope: Scope, receive: Receive, path: str, method: str) -> Reply:
        links = self._public or Links(base_url(scope))
        if self._pages is not None and (page := self._pages.find(method, path, links)) is not None:
            return page
        if method == "OPTIONS":
            return self._options(path)
        operation, params = self._routes.find(method, path)
        call = self._call(scope, receive, path, params, links)
        principal = await self._caller(call)
        if principal.acl is not None:
            await self._check_acl(principal, operation.method, call, of_body=operation.body is not None)
        call.acting = Acting(self._core, principal)
        if not principal.create:
            return await operation.endpoint(call)
        return await self._as_guest(operation, call, principal)

    def _host_of(self, principal: Principal) -> Acting:
        return Acting(self._core, Principal(principal.application_id, trusted=True))

    async def _as_guest(self, operation: Operation, call: Call, principal: Principal) -> Reply:
        """Serve a user of the host, who is created when the storage does not know them yet."""
        host = self._host_of(principal)
        if not self._core.has_seen(principal) or call.wants_stream:
            await host.users.ensure(principal)
        try:
            return await operation.endpoint(call)
        except Unauthenticated:
            # Seen before, and removed since, maybe by another process.
            await host.users.ensure(principal)
            return await operation.endpoint(call)

    async def _check_acl(self, principal: Principal, method: str, call: Call, *, of_body: bool = False) -> None:
        acl = principal.acl
        assert acl is not None
        _check_covered(acl, method, call, call.path, await call.fields(of_body=of_body) if acl.reads_fields else {})

    def _options(self, path: str) -> Answer:
        methods = self._routes.methods(path)
        return Answer(b"", 204, {"Allow": ", ".join(allowed(methods))})


def _check_covered(acl: ACL, method: str, call: Call, path: str, fields: Mapping[str, Any]) -> None:
    if not call.is_covered(acl, method, path, fields):
        raise Forbidden("The token's acl does not cover this path and method.")
