"""Checks of values that are to be stored: a value that passes here can always be read back unchanged.

JSON texts hold no NaN or Infinity, no NUL, no lone surrogates, integers within 2**53, and nest at most
``MAX_DEPTH`` levels deep. Each check raises ``InvalidInput`` naming the field.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from conversation_kit.domain.errors import InvalidInput
from conversation_kit.domain.models import JSONObject

MAX_DEPTH = 64
MAX_INTEGER = 2**53
MAX_NAME = 255
MAX_URL = 2048
MAX_JSON = 65536
"""Bytes of one stored JSON object in UTF-8."""

MAX_ATTACHED = 4096
"""Bytes of a member's channel and of its media in UTF-8: they come along with every event and list of the member."""

MAX_LEGS = 16
"""Legs that one channel may name."""

IMAGE_URL = r"^(https?://([A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?([/?#][!-~]*)?)?$"
_IMAGE_URL = re.compile(IMAGE_URL)
_LONG_NUMBER = re.compile("[0-9][0-9]{15}")


def to_json(value: Any) -> str:
    """Return the compact JSON text of a value.

    Raises ``ValueError``, ``TypeError`` or ``RecursionError`` if it has none.
    """
    return "".join(_encode(value, 0))


def _encoder() -> Callable[[Any, int], Iterable[str]]:
    """Return the encoder that ``JSONEncoder.encode`` makes anew at each call: making it takes longer than encoding most texts."""
    encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    try:
        encode: Callable[[Any, int], Iterable[str]] = getattr(json.encoder, "c_make_encoder")(  # noqa: B009 (it is not documented)
            None, encoder.default, json.encoder.encode_basestring, None, ":", ",", encoder.sort_keys, encoder.skipkeys, encoder.allow_nan
        )
    except (AttributeError, TypeError):
        return lambda value, level: (encoder.encode(value),)  # a Python that has none, or another one
    return encode


_encode = _encoder()


def check_json(field: str, value: Any, *, limit: int = MAX_JSON) -> str:
    """Check a JSON value and return its text, which is at most ``limit`` bytes long in UTF-8.

    One pass in C over the text decides nearly always; the slow walk runs only over what looks odd.
    """
    try:
        text = to_json(value)
        size = len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError as error:
        raise InvalidInput({field: "holds half of a surrogate pair"}) from error
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidInput({field: f"is not a JSON value ({error})"}) from error
    if size > limit:
        raise InvalidInput({field: f"is {size} bytes of JSON and may be {limit}"})
    is_deep = size > 2 * MAX_DEPTH and text.count("{") + text.count("[") > MAX_DEPTH
    if is_deep or "\\u0000" in text or _LONG_NUMBER.search(text):
        _walk(field, value)
    return text


def _walk(field: str, root: Any) -> None:
    level: list[Any] = [root]
    for _ in range(MAX_DEPTH + 1):
        below: list[Any] = []
        for value in level:
            if isinstance(value, Mapping):
                for key in value:
                    _check_scalar(field, key)
                below.extend(value.values())
            elif isinstance(value, (list, tuple)):
                below.extend(value)
            else:
                _check_scalar(field, value)
        if not below:
            return
        level = below
    raise InvalidInput({field: f"nests deeper than {MAX_DEPTH} levels"})


def _check_scalar(field: str, value: Any) -> None:
    if isinstance(value, str) and "\0" in value:
        raise InvalidInput({field: "holds a NUL character"})
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise InvalidInput({field: "holds an integer beyond 2**53: write it as a string"})


def check_seconds(field: str, value: int | None) -> int | None:
    """Check a number of whole seconds, if there is one, and return it."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**53):
        raise InvalidInput({field: "must be a number of whole seconds"})
    return value


def check_text(field: str, value: str, *, longest: int = MAX_NAME) -> str:
    """Check a plain string of at most ``longest`` characters and return it."""
    if not isinstance(value, str):
        raise InvalidInput({field: f"must be a string, not {value!r:.60}"})
    if len(value) > longest:
        raise InvalidInput({field: f"has {len(value)} characters and may have {longest}"})
    if "\0" in value:
        raise InvalidInput({field: "holds a NUL character"})
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise InvalidInput({field: "holds half of a surrogate pair"})
    return value


def check_ids(**ids: object) -> None:
    """Check that what is given as an id or a name is a string, and as ``event_id`` a whole number; ``None`` is not given."""
    for field, value in ids.items():
        wanted = int if field == "event_id" else str
        if value is not None and (not isinstance(value, wanted) or isinstance(value, bool)):
            attribute = "name" if field.endswith("name") else "id"
            hint = f": give its {attribute}" if hasattr(value, attribute) else ""
            noun = "a whole number" if wanted is int else "a string"
            raise InvalidInput({field: f"must be {noun}, not {type(value).__name__}{hint}"})


def check_display_name(field: str, value: str | None) -> str | None:
    """Check that the value is ``None`` or a non-empty string, and return it."""
    if value is None:
        return None
    if not value:
        raise InvalidInput({field: "is not allowed to be empty"})
    return check_text(field, value)


def check_image_url(field: str, value: str | None) -> str | None:
    """Check that it is ``None``, empty, or an absolute http or https URL of at most ``MAX_URL`` characters, all of them visible ASCII."""
    if not value:
        return None
    check_text(field, value, longest=MAX_URL)
    if not _IMAGE_URL.fullmatch(value):
        raise InvalidInput({field: "must be an absolute http or https URL in ASCII"})
    return value


def check_object(field: str, value: JSONObject | None, *, limit: int = MAX_JSON) -> JSONObject:
    """Return a JSON object of at most ``limit`` bytes; ``None`` is the empty one."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidInput({field: "must be an object"})
    if value:
        check_json(field, value, limit=limit)
    return value


def check_ttl(properties: JSONObject) -> float | None:
    """Return the ``ttl`` in ``properties`` in seconds; ``None`` when there is none, or it is ``None`` or 0, which all mean for ever.

    Floats and numeric strings are taken; negative ones and what is beyond 2**53 are not.
    """
    ttl = properties.get("ttl")
    if ttl is None:
        return None
    try:
        seconds = float(ttl) if isinstance(ttl, (int, float, str)) and not isinstance(ttl, bool) else math.nan
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= MAX_INTEGER:
        raise InvalidInput({"properties.ttl": "must be a number of seconds from 0 to 2**53"})
    return seconds or None
