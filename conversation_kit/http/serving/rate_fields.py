"""The header fields ``RateLimit`` and ``RateLimit-Policy``, as draft-ietf-httpapi-ratelimit-headers-10 has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil

from conversation_kit.meters.limiter import Usage

_UNITS: Mapping[str, str] = {"event_bytes": ';qu="content-bytes"'}
"""Unit that is counted if it is not requests, by the last word of a limit's name."""


def rate_fields(usages: Sequence[Usage]) -> dict[str, str]:
    """Return both fields: what may be used in how many seconds, and how much of it is left until when there is more."""
    policies, limits = [], []
    for usage in usages:
        rate, unit = usage.reading.rate, _UNITS.get(usage.name.rpartition(".")[2], "")
        policies.append(f'"{usage.name}";q={rate.amount}{unit};w={rate.seconds}')
        limits.append(f'"{usage.name}";r={usage.reading.remaining};t={ceil(usage.reading.seconds)}')
    return {"RateLimit-Policy": ", ".join(policies), "RateLimit": ", ".join(limits)}
