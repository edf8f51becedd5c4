"""Authentication of callers: by a token of the API (``JWTAuthenticator``), or by the host's own user (``HostAuthenticator``)."""

from conversation_kit.auth.host_authenticator import ADMIN, HostAuthenticator, HostUser, Identify, Identity
from conversation_kit.auth.jwt_authenticator import JWTAuthenticator
from conversation_kit.auth.tokens import make_key_pair, make_token

__all__ = ["ADMIN", "HostAuthenticator", "HostUser", "Identify", "Identity", "JWTAuthenticator", "make_key_pair", "make_token"]
