"""Django's settings, its tables with what is in them, and its ASGI application."""

# mypy: disable-error-code="import-untyped,import-not-found,misc,untyped-decorator,no-any-unimported"
from __future__ import annotations

from typing import Any

import anyio.to_thread
import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.management import call_command
from django.db import connection
from sqlalchemy import make_url

from benchmarks.rooms import LOGGED, Rooms, make_rooms, message

PACKAGE = __name__.rpartition(".")[0]


async def open_django(url: str, public_key: str) -> tuple[Any, Rooms]:
    """Open the application on the SQLite file or the PostgreSQL database of ``url``, with its conversations in it; once in a process."""
    settings.configure(
        SECRET_KEY="benchmark",
        ALLOWED_HOSTS=["127.0.0.1"],
        ROOT_URLCONF=f"{PACKAGE}.urls",
        INSTALLED_APPS=["rest_framework", PACKAGE],
        MIDDLEWARE=["django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware"],
        DATABASES={"default": _database(url)},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
        JWT_PUBLIC_KEY=public_key,
        REST_FRAMEWORK={
            "DEFAULT_AUTHENTICATION_CLASSES": [f"{PACKAGE}.authentication.TokenAuthentication"],
            "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
            "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
            "UNAUTHENTICATED_USER": None,
        },
    )
    django.setup()
    rooms = make_rooms()
    await anyio.to_thread.run_sync(_fill, rooms)
    return get_asgi_application(), rooms


def _database(url: str) -> dict[str, Any]:
    target = make_url(url)
    if target.get_backend_name() == "sqlite":
        pragmas = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
        options = {"transaction_mode": "IMMEDIATE", "timeout": 30, "init_command": pragmas}
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": target.database, "OPTIONS": options}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": target.database,
        "USER": target.username or "",
        "PASSWORD": target.password or "",
        "HOST": target.host or "",
        "PORT": target.port or "",
        "OPTIONS": {"pool": {"min_size": 4, "max_size": 16, "timeout": 30}},
    }


def _fill(rooms: Rooms) -> None:
    from benchmarks.tutorial_django.models import Conversation, Event, Member

    call_command("migrate", run_syncdb=True, verbosity=0)
    Conversation.objects.bulk_create(Conversation(id=room.id, sequence_number=LOGGED if room is rooms.read else 0) for room in rooms)
    Member.objects.bulk_create(
        Member(id=id, conversation_id=room.id, user_name=user, state="joined") for room in rooms for user, id in room.members
    )
    room = rooms.read
    senders = [id for _, id in room.members]
    Event.objects.bulk_create(
        Event(conversation_id=room.id, number=n, type="text", sender_id=senders[n % len(senders)], body={"text": message(n)})
        for n in range(1, LOGGED + 1)
    )
    connection.close()
