"""The models."""

# mypy: disable-error-code="import-untyped,import-not-found,misc,untyped-decorator,no-any-unimported"
from __future__ import annotations

from django.db import models


class Conversation(models.Model):
    """A conversation and the number of its last event."""

    id = models.CharField(max_length=64, primary_key=True)
    sequence_number = models.BigIntegerField(default=0)


class Member(models.Model):
    """A user in a conversation."""

    id = models.CharField(max_length=64, primary_key=True)
    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="members")
    user_name = models.CharField(max_length=255, db_index=True)
    state = models.CharField(max_length=16)


class Event(models.Model):
    """An event with its number in the conversation."""

    conversation = models.ForeignKey(Conversation, on_delete=models.CASCADE, related_name="events")
    number = models.BigIntegerField()
    type = models.CharField(max_length=100)
    sender = models.ForeignKey(Member, on_delete=models.CASCADE)
    body = models.JSONField()
    timestamp = models.DateTimeField(auto_now_add=True)

    class Meta:
        """Numbers are unique in a conversation."""

        constraints = [models.UniqueConstraint(fields=["conversation", "number"], name="event_number")]
