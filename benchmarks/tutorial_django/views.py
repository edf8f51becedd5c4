"""The serializer and the view."""

# mypy: disable-error-code="import-untyped,import-not-found,misc,untyped-decorator,no-any-unimported"
from __future__ import annotations

from typing import Any

from django.db import transaction
from django.shortcuts import get_object_or_404
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from benchmarks.tutorial_django.models import Conversation, Event, Member


class EventSerializer(serializers.ModelSerializer):
    """An event."""

    id = serializers.IntegerField(source="number", read_only=True)

    class Meta:
        """Fields of an event."""

        model = Event
        fields = ["id", "type", "body", "timestamp"]

    def get_fields(self) -> dict[str, Any]:
        """Return those fields, and ``from``, which is a keyword in Python."""
        return {**super().get_fields(), "from": serializers.CharField(source="sender_id")}


class ConversationEvents(APIView):
    """A conversation's events."""

    def get(self, request: Request, conversation_id: str) -> Response:
        """Return a page of the events."""
        get_object_or_404(Member, conversation_id=conversation_id, user_name=request.user.name, state="joined")
        order = "-number" if request.query_params.get("order") == "desc" else "number"
        size = min(int(request.query_params.get("page_size", 100)), 100)
        events = Event.objects.filter(conversation_id=conversation_id).order_by(order)[:size]
        return Response(EventSerializer(events, many=True).data)

    def post(self, request: Request, conversation_id: str) -> Response:
        """Append one."""
        serializer = EventSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        with transaction.atomic():
            conversation = get_object_or_404(Conversation.objects.select_for_update(), pk=conversation_id)
            sender = serializer.validated_data["sender_id"]
            get_object_or_404(Member, pk=sender, conversation=conversation, user_name=request.user.name, state="joined")
            conversation.sequence_number += 1
            conversation.save(update_fields=["sequence_number"])
            serializer.save(conversation=conversation, number=conversation.sequence_number)
        return Response(serializer.data, status=201)
