"""RSA keys as hosts have them: in PEM, as files, certificates, JSON Web Keys or objects."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate
from jwt.algorithms import RSAAlgorithm

from conversation_kit.domain.errors import ConfigurationError

logger = logging.getLogger("conversation_kit")

MIN_KEY_BITS = 2048

MAX_KEYS = 16
"""Keys of one application: a token that names none is tried with each of them."""

PublicKey: TypeAlias = str | bytes | Path | RSAPublicKey
PublicKeys: TypeAlias = PublicKey | Sequence[PublicKey] | Mapping[str, PublicKey] | Mapping[str, Any]
"""One key, several, or several by the ``kid`` that tokens name them by; or a JSON Web Key Set, parsed."""

PrivateKey: TypeAlias = str | bytes | Path | RSAPrivateKey


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The public keys of one application: those with a name of their own, a token's ``kid``, and those without."""

    named: Mapping[str, RSAPublicKey] = field(default_factory=dict)
    unnamed: tuple[RSAPublicKey, ...] = ()

    @classmethod
    def of(cls, application_id: str, keys: Any) -> KeyRing:
        """Return the ring of what a host gives as ``PublicKeys``. Raises ``ConfigurationError``."""
        whose = f"The key of application {application_id!r}"
        if isinstance(keys, Mapping) and isinstance(keys.get("keys"), list):
            return cls.of_jwks(application_id, keys)
        if isinstance(keys, Mapping):
            for kid in keys:
                if not isinstance(kid, str) or not kid:
                    raise ConfigurationError(f"{whose} is given by a kid that is no text or empty: {kid!r}.")
            ring = cls({kid: public_key(f"{whose} ({kid})", key) for kid, key in keys.items()})
        elif isinstance(keys, Sequence) and not isinstance(keys, (str, bytes)):
            ring = cls(unnamed=tuple(public_key(whose, key) for key in keys))
        else:
            ring = cls(unnamed=(public_key(whose, keys),))
        return ring.checked(whose)

    @classmethod
    def of_jwks(cls, application_id: str, document: Any) -> KeyRing:
        """Return the ring of a JSON Web Key Set: its RSA keys that sign; others are left out. Raises ``ConfigurationError``."""
        whose = f"The key set of application {application_id!r}"
        keys = document.get("keys") if isinstance(document, Mapping) else None
        if not isinstance(keys, list) or len(keys) > 4 * MAX_KEYS:
            raise ConfigurationError(f"{whose} is no JSON Web Key Set, or holds more than {4 * MAX_KEYS} keys.")
        named: dict[str, RSAPublicKey] = {}
        unnamed: list[RSAPublicKey] = []
        for key in keys:
            if not isinstance(key, Mapping) or not _signs(key):
                continue
            try:
                loaded = public_key(whose, _of_jwk(key))
            except ConfigurationError as error:
                logger.warning("a key is left out: %s", error)
                continue
            kid = key.get("kid")
            if isinstance(kid, str) and kid:
                named[kid] = loaded
            else:
                unnamed.append(loaded)
        return cls(named, tuple(unnamed)).checked(whose)

    def checked(self, whose: str) -> KeyRing:
        """Return the ring itself. Raises ``ConfigurationError`` when it is empty or too large."""
        if not 1 <= len(self.named) + len(self.unnamed) <= MAX_KEYS:
            raise ConfigurationError(f"{whose} must be from 1 to {MAX_KEYS} RSA public keys.")
        return self

    def candidates(self, kid: object) -> Sequence[RSAPublicKey]:
        """Return the keys that may have signed a token with this ``kid``; a token without one may be of each."""
        if kid is None or not self.named:
            return (*self.named.values(), *self.unnamed)
        named = self.named.get(kid) if isinstance(kid, str) else None
        return (named,) if named is not None else self.unnamed

    def knows(self, kid: object) -> bool:
        """Return whether there is a key that a token with this ``kid`` is to be checked with."""
        return bool(self.candidates(kid))


def public_key(whose: str, key: Any) -> RSAPublicKey:
    """Return a public key as an object, from PEM (a certificate's, too), its file or the object.

    ``whose`` begins the sentence of an error. Raises ``ConfigurationError`` for what is no RSA public key of 2048 bits.
    """
    loaded: Any = key
    if key is None:
        raise ConfigurationError(f"{whose} is None: is the setting or the environment variable missing that should hold it?")
    if isinstance(key, (str, bytes, Path)):
        pem = _pem(whose, key)
        if b"PRIVATE KEY" in pem:
            raise _private(whose)
        try:
            loaded = load_pem_x509_certificate(pem).public_key() if b"BEGIN CERTIFICATE" in pem else load_pem_public_key(pem)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise ConfigurationError(
                f"{whose} is not a public key or a certificate in PEM format: give the text of the file, or a pathlib.Path of it."
            ) from error
    if isinstance(loaded, RSAPrivateKey):
        raise _private(whose)
    if not isinstance(loaded, RSAPublicKey):
        raise ConfigurationError(f"{whose} must be an RSA public key, because tokens are signed with RS256.")
    if loaded.key_size < MIN_KEY_BITS:
        raise ConfigurationError(f"{whose} has {loaded.key_size} bits and needs {MIN_KEY_BITS}: make a new key pair.")
    return loaded


def private_key(key: Any) -> RSAPrivateKey:
    """Return a private key as an object, from PEM, its file or the object.

    Raises ``ConfigurationError`` for what is no RSA private key of 2048 bits without a password.
    """
    loaded: Any = key
    if key is None:
        raise ConfigurationError("The private key is None: is the setting or the environment variable missing that should hold it?")
    if isinstance(key, (str, bytes, Path)):
        pem = _pem("The private key", key)
        if b"BEGIN CERTIFICATE" in pem and b"PRIVATE KEY" not in pem:
            raise ConfigurationError("The private key is a certificate: give the key that belongs to it, in PEM format.")
        if b"PUBLIC KEY" in pem:
            raise ConfigurationError("The private key is a public one: give the private key that belongs to it, in PEM format.")
        try:
            loaded = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise ConfigurationError("The private key is not one in PEM format without a password.") from error
    if not isinstance(loaded, RSAPrivateKey) or loaded.key_size < MIN_KEY_BITS:
        raise ConfigurationError(f"The private key must be an RSA key of at least {MIN_KEY_BITS} bits: tokens are signed with RS256.")
    return loaded


def _pem(whose: str, key: str | bytes | Path) -> bytes:
    """Return the text of a key with line breaks, which environment variables often hold as a backslash and an ``n``."""
    if isinstance(key, Path):
        try:
            pem = key.read_bytes()
        except OSError as error:
            raise ConfigurationError(f"{whose} cannot be read from {str(key)!r}: {error.strerror or error}.") from error
    else:
        pem = key.encode("utf-8", "replace") if isinstance(key, str) else key
    return pem.replace(b"\\r", b"").replace(b"\\n", b"\n")


def _private(whose: str) -> ConfigurationError:
    return ConfigurationError(f"{whose} is a private key: give the public key that belongs to it, and keep the private one secret.")


def _signs(key: Mapping[str, Any]) -> bool:
    operations = key.get("key_ops", ("verify",))
    return (
        key.get("kty") == "RSA"
        and key.get("use", "sig") == "sig"
        and key.get("alg", "RS256") == "RS256"
        and isinstance(operations, Iterable)
        and "verify" in operations
    )


def _of_jwk(key: Mapping[str, Any]) -> Any:
    try:
        return RSAAlgorithm.from_jwk(dict(key))
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"a JSON Web Key cannot be read ({type(error).__name__})") from error
