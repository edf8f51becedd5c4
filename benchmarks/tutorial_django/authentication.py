"""The check of the token."""

# mypy: disable-error-code="import-untyped,import-not-found,misc,untyped-decorator,no-any-unimported"
from __future__ import annotations

from dataclasses import dataclass

import jwt
from django.conf import settings
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request


@dataclass(frozen=True)
class TokenUser:
    """Whom a token is for."""

    name: str
    is_authenticated: bool = True


class TokenAuthentication(BaseAuthentication):
    """The caller by the bearer token."""

    def authenticate(self, request: Request) -> tuple[TokenUser, str] | None:
        """Return the user and the token.

        Raises ``AuthenticationFailed``.
        """
        scheme, _, token = get_authorization_header(request).decode().partition(" ")
        if scheme != "Bearer":
            return None
        try:
            claims = jwt.decode(token, settings.JWT_PUBLIC_KEY, algorithms=["RS256"])
        except jwt.InvalidTokenError as error:
            raise AuthenticationFailed(str(error)) from error
        return TokenUser(claims["sub"]), token
