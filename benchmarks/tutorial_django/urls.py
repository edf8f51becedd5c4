"""The one path."""

# mypy: disable-error-code="import-untyped,import-not-found,misc,untyped-decorator,no-any-unimported"
from __future__ import annotations

from django.urls import path

from benchmarks.rooms import PREFIX
from benchmarks.tutorial_django.views import ConversationEvents

urlpatterns = [path(f"{PREFIX[1:]}/conversations/<conversation_id>/events", ConversationEvents.as_view())]
