"""Answers that are kept with the effect of a request, for who sends the same request again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Claim:
    """Claim of one request on its idempotency key.

    ``mark`` stands for the key, who uses it and for what; ``digest`` for what is asked. Both have 64 hexadecimal digits. The answer is kept
    until ``expires_at``.
    """

    mark: str
    digest: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer to a request with an idempotency key; ``result`` is the JSON of what its decision has answered. See ``Claim``."""

    mark: str
    digest: str
    result: str
    created: datetime
    expires_at: datetime
