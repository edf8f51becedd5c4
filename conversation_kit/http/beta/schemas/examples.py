"""The ids that stand in the examples of the OpenAPI document."""

from __future__ import annotations

from typing import Final

CONVERSATION: Final = "CON-0190b6d1-52a5-7a1e-9a3c-3f6f1f1f0c11"
MEMBER: Final = "MEM-0190b6d1-52a5-7a1e-9a3c-3f6f1f1f0c12"
USER: Final = "USR-0190b6d1-52a5-7a1e-9a3c-3f6f1f1f0c13"
LEG: Final = "0190b6d1-52a5-7a1e-9a3c-3f6f1f1f0c14"
EVENT: Final = "1"
