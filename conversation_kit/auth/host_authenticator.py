"""Callers known by the host's own login."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Final, Literal, TypeAlias

from conversation_kit.auth.names import checked_name
from conversation_kit.domain.errors import ConfigurationError, Forbidden, HookFailed, Unauthenticated
from conversation_kit.domain.principals import Principal
from conversation_kit.hooks.signatures import check_function
from conversation_kit.ports import ASGIScope

REMEMBERED = 4096
"""Number of users seen last whose principals are remembered."""


@dataclass(frozen=True, slots=True)
class HostUser:
    """A user of the host: ``name`` is unique in the application; the rest is for creating it on first sight."""

    name: str
    display_name: str | None = None
    image_url: str | None = None


class _Admin(Enum):
    ADMIN = "admin"


ADMIN: Final = _Admin.ADMIN
"""Answer of an ``identify`` callable for somebody who may do everything."""

Identity: TypeAlias = str | HostUser | Literal[_Admin.ADMIN] | None
Identify: TypeAlias = Callable[[ASGIScope], Identity | Awaitable[Identity]]


class HostAuthenticator:
    """Takes the host's own user.

    ``identify`` gets the ASGI scope, with what the host's middleware put there, and answers with a user's name, a ``HostUser``, ``ADMIN``,
    or ``None`` for nobody; an empty name is nobody too. It may be async; a sync one runs on the event loop, at every request, and must not
    block. With ``create_users`` a user is created when first seen, else it must exist. Raises ``ConfigurationError``.
    """

    def __init__(self, identify: Identify, *, application_id: str = "default", create_users: bool = False) -> None:
        if not callable(identify):
            raise ConfigurationError(f"HostAuthenticator takes a function of the ASGI scope, not {identify!r}.")
        check_function("HostAuthenticator", identify, "the ASGI scope")
        if not isinstance(application_id, str) or not application_id:
            raise ConfigurationError("HostAuthenticator takes an application_id that is a string and not empty.")
        self._identify = identify
        self._application_id = application_id
        self._create_users = create_users
        self._user = lru_cache(maxsize=REMEMBERED)(self._checked)

    @property
    def applications(self) -> Sequence[str]:
        """The one application."""
        return (self._application_id,)

    async def authenticate(self, scope: ASGIScope) -> Principal:
        """Return the principal of the host's user.

        Raises ``Unauthenticated`` when there is none or the name is not one that a user can have, and ``ConfigurationError``
        for an answer that ``identify`` may not give. An HTTP error of the host's framework keeps its meaning: 403 is ``Forbidden``,
        5xx ``HookFailed``, others (401, a redirect to a login) ``Unauthenticated``.
        """
        try:
            identity = self._identify(scope)
            if not isinstance(identity, str) and inspect.isawaitable(identity):
                identity = await identity
        except Exception as error:
            status = _status_of(error)
            if status is None:
                raise
            raise _meaning(status, getattr(error, "detail", None)) from error
        if isinstance(identity, str):
            return self._user(identity, None, None)
        if identity is ADMIN:
            return Principal(self._application_id)
        if identity is None:
            raise _nobody()
        if not isinstance(identity, HostUser):
            raise ConfigurationError(f"identify must answer with a name, a HostUser, ADMIN or None, not with a {type(identity).__name__}.")
        name, display_name, image_url = identity.name, identity.display_name, identity.image_url
        if not isinstance(name, str) or not all(isinstance(value, str | None) for value in (display_name, image_url)):
            raise ConfigurationError("identify must answer with a HostUser whose name, display_name and image_url are strings.")
        return self._user(name, display_name, image_url)

    def _checked(self, name: str, display_name: str | None, image_url: str | None) -> Principal:
        """Return the principal of a user, remembered as ``_user``: a name is looked at letter by letter."""
        if not name:
            raise _nobody()
        name = checked_name(name)
        return Principal(self._application_id, name, create=self._create_users, display_name=display_name, image_url=image_url)


def _nobody() -> Unauthenticated:
    return Unauthenticated("Log in first.")


def _status_of(error: Exception) -> int | None:
    """Return the status of an HTTP error of the host's framework, which the kit need not know, ``None`` for other errors.

    Starlette, FastAPI, Litestar and Django Ninja call it ``status_code``, Werkzeug and Quart ``code``.
    """
    if any(class_.__name__ in ("HTTPException", "HttpError") for class_ in type(error).__mro__):
        for name in ("status_code", "code"):
            status = getattr(error, name, None)
            if isinstance(status, int) and 300 <= status < 600:
                return int(status)
    return None


def _meaning(status: int, detail: object) -> Exception:
    told = detail if isinstance(detail, str) and detail else None
    if status == 403:
        return Forbidden(told or "This server does not let you in.")
    if status >= 500:
        return HookFailed("This server cannot tell at present who you are; try again.")
    return Unauthenticated(told or "Log in first.")
