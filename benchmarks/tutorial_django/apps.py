"""The application's label."""

# mypy: disable-error-code="import-untyped,import-not-found,misc,untyped-decorator,no-any-unimported"
from __future__ import annotations

from django.apps import AppConfig


class TutorialConfig(AppConfig):
    """The tables are named after the label."""

    name = __name__.rpartition(".")[0]
    label = "chat"
