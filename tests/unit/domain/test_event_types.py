from __future__ import annotations

import re
from pathlib import Path

import conversation_kit
from conversation_kit.domain.event_types import MADE


def test_every_event_type_that_the_kit_appends_can_be_registered_for() -> None:
    """Whoever lets the kit append another one adds it to ``MADE``, or ``kit.on`` would take it for a slip."""
    package = Path(conversation_kit.__file__).parent
    sources = [file.read_text() for folder in ("decisions", "services", "domain") for file in (package / folder).glob("*.py")]
    appended = {type for source in sources for type in re.findall(r'append\(\s*"([a-z]+:[a-z:]+)"', source)}
    assert appended
    assert appended <= MADE
