"""What the kit records says who did it."""

from __future__ import annotations

import pytest

from tests.support.world import open_world

pytestmark = pytest.mark.anyio


async def test_an_update_of_a_conversation_says_who_did_it() -> None:
    async with open_world() as world:
        for who in ("ana", "admin"):
            await world.json("PUT", world.path, who, json={"display_name": f"The room of {who}"})
        by_member, by_admin = (await world.kit.events.list(world.conversation))[-2:]
        ana = {"user_id": world.users["ana"], "member_id": world.members["ana"]}
        assert (by_member.sender, by_member.body["initiator"]) == (world.members["ana"], {"updated": ana})
        assert (by_admin.sender, by_admin.body["initiator"]) == (None, {"updated": {"isSystem": True}})


async def test_a_deletion_that_no_member_did_says_who_did_it() -> None:
    async with open_world() as world:
        for who in ("ana", "admin"):
            await world.json("DELETE", f"{world.path}/events/{await world.say()}", who)
        by_member, _, by_admin = (await world.kit.events.list(world.conversation))[-3:]
        assert (by_member.sender, set(by_member.body)) == (world.members["ana"], {"event_id"})
        assert (by_admin.sender, by_admin.body["initiator"]) == (None, {"deleted": {"isSystem": True}})


async def test_an_invitation_always_has_the_media_that_clients_read() -> None:
    async with open_world() as world:
        await world.json("POST", f"{world.path}/members", "ana", status=201, json={"user_id": world.users["dee"]})
        body = (await world.kit.events.list(world.conversation))[-1].body
        off = {"enabled": False, "earmuffed": False, "muted": False}
        assert body["media"] == {"audio": False, "audio_settings": off}
        media = {"audio_settings": {"enabled": True}, "video": True}
        await world.json("POST", f"{world.path}/members", "ana", status=201, json={"user_id": world.users["cy"], "media": media})
        body = [event for event in await world.kit.events.list(world.conversation) if event.type == "member:invited"][-1].body
        assert body["media"] == {"audio": True, "video": True, "audio_settings": {**off, "enabled": True}}
