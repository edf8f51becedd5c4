"""Values: they come back as they went in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from conversation_kit.domain.drafts import Draft
from conversation_kit.domain.models import (
    Conversation,
    Leg,
    LegStatus,
    Member,
    MemberState,
    Receipt,
    ReceiptKind,
    User,
)
from conversation_kit.domain.reading import Page
from conversation_kit.domain.scene import Changes, Needs
from conversation_kit.testing.harness.harness import APP, JOINED, Contract, no_user
from conversation_kit.testing.harness.writes import create_conversation, create_user

TIMES = [
    datetime(2026, 7, 1, 12, 0, 0, 123_000, UTC),
    datetime(2026, 12, 31, 23, 59, 59, 999_000, UTC),
    datetime(1969, 7, 20, 20, 17, 40, 1_000, UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999_000, UTC),
]
JSON: dict[str, Any] = {
    "": "",
    "text": "Grüße, 你好, مرحبا, 👩‍👩‍👧‍👦 \U0001f600 \u2028 \ufeff",
    "escapes": 'quote " backslash \\ slash / line\nreturn\r tab\t bell\x07 </script> %s :name {}',
    "κλειδί 🔑": "a key beyond ASCII",
    "integers": [0, -1, 2**31, 2**53, -(2**53)],
    "floats": [0.1, -2.5, 1e-7, 1.7976931348623157e308, 5e-324, 1.0, 0.30000000000000004],
    "constants": [True, False, None],
    "numbers in text": ["1", "1.0", "true", "null", "2026-01-01T00:00:00.000Z"],
    "nested": {"a": [{"b": [[], {}, [[{"c": None}]]]}], "empty": {}, "nothing": None},
    "long": "x" * 30_000,
    " spaces ": "  ",
}


class ValuesContract(Contract):
    """Promises about values."""

    async def test_conversations_come_back_as_they_went_in(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            full = Conversation(
                APP,
                "CON-1",
                "🛋 room",
                TIMES[0],
                "The Röom",
                "http://a/b?c=d#e",
                JSON,
                JSON,
                "USR-1",
                2**53,
                7,
                6,
                TIMES[1],
                TIMES[2],
                TIMES[3],
                5,
            )
            bare = Conversation(APP, "CON-2", "bare", TIMES[1])
            for conversation in (full, bare):
                await create_conversation(bench.storage, conversation)
            for conversation in (full, bare):
                assert await bench.stored(conversation) == conversation
            found = await bench.storage.list_conversations(APP, Page(), bench.clock())
            assert list(found.items) == [full, bare]

    async def test_an_empty_value_is_not_no_value(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await bench.conversation("", display_name="", image_url="", created_by="")
            assert await bench.stored(room) == room
            leg = await bench.leg(session_id="", rate="", price="", network="", duration=0, sender={}, history=())
            assert await bench.storage.get_leg(APP, leg.id) == leg

    async def test_users_come_back_as_they_went_in(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            full = User(APP, "USR-1", "🙂", TIMES[0], "", "", JSON, TIMES[1], TIMES[0], JSON)
            bare = User(APP, "USR-2", "bare", TIMES[1])
            for user in (full, bare):
                await create_user(bench.storage, user)
                assert await bench.storage.get_user(APP, name=user.name) == user
            assert list((await bench.storage.list_users(APP, Page())).items) == [full, bare]

    async def test_members_come_back_as_they_went_in(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await bench.conversation()
            channel = {"type": "app", **JSON}
            full = Member(
                APP, room.id, "MEM-1", "USR-1", "🙂", JOINED, channel, TIMES[0], JSON, JSON, "USR-2", TIMES[1], TIMES[2], TIMES[3],
                "🙂", "https://pictures.example/🙂", 2**53, 2**53 + 1, 7,
            )  # fmt: skip
            bare = Member(APP, room.id, "MEM-2", "USR-2", "bare", JOINED, {"type": "app"}, TIMES[1])
            quiet = Member(APP, room.id, "MEM-3", "USR-3", "quiet", JOINED, {"type": "app"}, TIMES[1], media={})
            await bench.commit(room.id, Changes(None, members=[full, bare, quiet]))
            assert list((await bench.storage.list_members(bench.access(), room.id, Page())).items) == [full, bare, quiet]
            scene = await bench.scene(room.id, Needs(members=("MEM-1", "MEM-2", "MEM-3")))
            assert list(scene.members) == [full, bare, quiet]
            assert type(scene.members[0].state) is MemberState

    async def test_legs_come_back_as_they_went_in(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            history = ({"status": "started", "date": "now"}, JSON)
            status = LegStatus.COMPLETED
            full = Leg(
                APP, "LEG-1", "phone", status, "inbound", TIMES[0], "SES-1", "CON-1", "MEM-1", "KNO-1", JSON, JSON,
                TIMES[1], TIMES[2], 2**53, "0.00500000", "1.0", "EU-FIXED", history,
            )  # fmt: skip
            bare = Leg(APP, "LEG-2", "app", LegStatus.STARTED, "outbound", TIMES[1], "SES-2")
            await bench.commit(None, Changes(None, legs=[full, bare]))
            for leg in (full, bare):
                assert await bench.storage.get_leg(APP, leg.id) == leg
            assert list((await bench.storage.list_legs(APP, Page())).items) == [full, bare]
            assert type((await bench.storage.get_leg(APP, "LEG-1")).status) is LegStatus

    async def test_events_come_back_to_the_letter(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await bench.conversation()

            def work(draft: Draft) -> list[Any]:
                spaced = '{ "text" : "\\u00e9\\ud83d\\ude00" , "a" : 1.0, "a": 1e2 }'
                return [draft.append("custom:🎲", JSON, sender="MEM-1", to="MEM-2"), draft.append("text", {}, body_text=spaced)]

            events = (await bench.edit(room.id, work)).result
            log = await bench.log(room.id)
            assert [event.data for event in log] == [event.data for event in events]
            assert log[0].body == JSON
            assert (log[0].type, log[0].sender, log[0].to, log[0].timestamp) == ("custom:🎲", "MEM-1", "MEM-2", bench.clock())

    async def test_receipts_come_back_as_they_went_in(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            room = await bench.conversation()
            await bench.say(room.id, "one")
            receipts = [Receipt(room.id, 1, f"MEM-{number}", kind, TIMES[0], 2**53) for number in (1, 2) for kind in ReceiptKind]
            await bench.commit(room.id, Changes(None, receipts=receipts))
            found = (await bench.storage.get_event(bench.access(), room.id, 1)).receipts
            assert set(found) == set(receipts)
            assert {type(receipt.kind) for receipt in found} == {ReceiptKind}

    @pytest.mark.parametrize("time", TIMES)
    async def test_times_keep_their_milliseconds_and_their_zone(self, tmp_path: Path, time: datetime) -> None:
        async with self.bench(tmp_path) as bench:
            ana = await bench.user("ana", created=time, updated=time, tokens_since=time)
            found = await bench.storage.get_user(APP, id=ana.id)
            for value in (found.created, found.updated):
                assert value == time
                assert value.utcoffset() == timedelta(0)

    async def test_names_differ_by_every_character(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            names = [
                "ana",
                "Ana",
                "ANA",
                "aná",
                "ana\u0301",
                " ana",
                "ana ",
                "ana  ",
                "ana\t",
                "\uff41na",
                "an\u200ba",
                "аna",  # noqa: RUF001 - the first letter is Cyrillic
                "ß",
                "ss",
                "🙂",
                "🙃",
                "%",
                "_",
                "'",
                '"',
                "\\",
            ]
            users = [await bench.user(name) for name in names]
            rooms = [await bench.conversation(name) for name in names]
            for user, room in zip(users, rooms, strict=True):
                assert await bench.storage.get_user(APP, name=user.name) == user
                assert await bench.stored(room) == room
                scene = await bench.scene(room.id, Needs(caller=user.name, user_name=user.name))
                assert (scene.caller, scene.user) == (user, user)
            assert [user.name for user in (await bench.storage.list_users(APP, Page())).items] == names
            listed = await bench.storage.list_conversations(APP, Page(), bench.clock())
            assert [room.name for room in listed.items] == names
            for name in ("aNA", "ana\n", "ss ", ""):
                with no_user():
                    await bench.storage.get_user(APP, name=name)

    async def test_applications_and_legs_differ_by_every_character(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            applications = ["app", "App", "app ", "äpp"]
            for application_id in applications:
                await bench.user("ana", application_id)
                for leg_id in ("leg", "Leg", "leg ", "lèg"):
                    await bench.leg(application_id=application_id, id=leg_id, to={"id": leg_id, "of": application_id})
            for application_id in applications:
                assert (await bench.storage.list_users(application_id, Page())).total == 1
                assert (await bench.storage.list_legs(application_id, Page())).total == 4
                assert (await bench.storage.get_leg(application_id, "Leg")).to == {"id": "Leg", "of": application_id}

    async def test_the_longest_values_fit(self, tmp_path: Path) -> None:
        async with self.bench(tmp_path) as bench:
            application_id, name = "a" * 255, "🙂" * 255
            ana = await bench.user(name, application_id, display_name=name, image_url="http://" + "u" * 2041)
            room = await bench.conversation(name, application_id, display_name=name, properties={"x": "🙂" * 16_000})
            member = await bench.member(room, ana)
            leg = await bench.leg(application_id=application_id, id="🙂" * 255, rate="9" * 255, conversation_id=room.id)
            scene = await bench.scene(room.id, Needs(name, user_name=name, legs=(leg.id,)), application_id)
            assert (scene.caller, scene.user, list(scene.members), list(scene.legs)) == (ana, ana, [member], [leg])
            for wanted in (name + "x", "x" * 5000):
                with no_user():
                    await bench.storage.get_user(application_id, name=wanted)
