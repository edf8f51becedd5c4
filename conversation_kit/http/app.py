"""The ASGI application below the mount: authenticate, route, call, answer."""

from __future__ import annotations

from conversation_kit.domain.errors import Forbidden, Unauthenticated
from conversation_kit.domain.principals import Principal
from conversation_kit.http import conversations, events, legs, members, users
from conversation_kit.http.calls import Call, Disconnected
from conversation_kit.http.errors import answer_error
from conversation_kit.http.links import Links, base_url
from conversation_kit.http.mounting import Receive, Scope, Send, inner_path
from conversation_kit.http.operations import Operation, Routes, allowed
from conversation_kit.http.pages import Pages
from conversation_kit.http.responses import Answer
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
VERSION_ALIASES = ("beta", "v1", "v0.1")
"""The version names under which tokens of the past wrote their access lists (SEMANTICS section 5)."""


class Door:
    """Serves the API over ASGI."""

    def __init__(
        self,
        core: Core,
        auth: Authenticator,
        *,
        public_url: str | None = None,
        pages: Pages | None = None,
    ) -> None:
        self._core = core
        self._auth = auth
        self._public = Links(public_url.rstrip("/")) if public_url else None
        self._pages = pages
        self._routes = Routes(OPERATIONS)

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

    async def _answer(self, scope: Scope, receive: Receive, path: str, method: str) -> Answer:
        links = self._public or Links(base_url(scope))
        if self._pages is not None and (page := self._pages.find(method, path, links)) is not None:
            return page
        if method == "OPTIONS":
            return self._options(path)
        operation, params = self._routes.find(method, path)
        principal = await self._auth.authenticate(scope)
        call = Call(scope, receive, path, params, links)
        if principal.acl is not None:
            await self._check_acl(principal, operation, call)
        call.acting = Acting(self._core, principal)
        if not principal.create:
            return await operation.endpoint(call)
        return await self._as_guest(operation, call, principal)

    async def _as_guest(self, operation: Operation, call: Call, principal: Principal) -> Answer:
        """Serve a user of the host, who is created when the storage does not know them yet."""
        host = Acting(self._core, Principal(principal.application_id, trusted=True))
        if not self._core.has_seen(principal):
            await host.users.ensure(principal)
        try:
            return await operation.endpoint(call)
        except Unauthenticated:
            # Seen before, and removed since, maybe by another process.
            await host.users.ensure(principal)
            return await operation.endpoint(call)

    async def _check_acl(self, principal: Principal, operation: Operation, call: Call) -> None:
        acl = principal.acl
        assert acl is not None
        own = call.scope.get("root_path", "").rstrip("/").rpartition("/")[2]
        paths = [f"/{version}{call.path}" for version in dict.fromkeys((own, *VERSION_ALIASES)) if version]
        fields = await call.fields(of_body=operation.body is not None) if acl.reads_fields else {}
        if not acl.permits(operation.method, paths, fields):
            raise Forbidden("The token's acl does not cover this path and method.")

    def _options(self, path: str) -> Answer:
        methods = self._routes.methods(path)
        return Answer(b"", 204, {"Allow": ", ".join(allowed(methods))})
