"""The operations of the API as its description has them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CONTRACT: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "contract.json").read_text())
