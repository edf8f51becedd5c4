from __future__ import annotations

from typing import Any

import pytest

from conversation_kit import Conflict, InvalidInput, LegTerminated, LegUpdated, NotFound, Signal
from conversation_kit.domain.signals import LegSignal
from tests.support.probes import detach_leg
from tests.support.world import World, open_world

pytestmark = pytest.mark.anyio


async def listed(world: World) -> list[dict[str, Any]]:
    legs: list[dict[str, Any]] = (await world.json("GET", "/legs"))["_embedded"]["legs"]
    return legs


@pytest.mark.parametrize("type", ["phone", "sip", "websocket", "vbc"])
async def test_inviting_over_a_line_starts_a_leg(type: str) -> None:
    async with open_world() as world:
        channel = {"type": type, "from": {"type": "app"}, "to": {"type": type, "number": "44"}}
        body = {"action": "invite", "user_id": world.users["dee"], "channel": channel}
        made = await world.json("POST", f"{world.path}/members", "ana", status=201, json=body)
        (leg,) = await listed(world)
        assert leg["uuid"] == made["channel"]["leg_id"]
        assert (leg["type"], leg["status"], leg["conversation_uuid"]) == (type, "started", world.conversation)
        assert (leg["from"], leg["to"]) == (channel["from"], channel["to"])
        assert "state" not in leg
        assert "state" not in leg["rtc"]
        assert leg["start_time"] == leg["end_time"] == leg["start_end"] == ""
        assert (await world.types())[-2:] == ["member:invited", "leg:status:update"]


async def test_a_leg_is_hung_up_and_then_taken_off_the_list() -> None:
    async with open_world() as world:
        leg = await world.kit.legs.start(world.conversation, "phone", member_id=world.members["ana"])
        await world.kit.legs.update(leg.id, "ringing")
        await world.kit.legs.update(leg.id, "answered")
        assert await world.json("DELETE", f"/legs/{leg.id}") == {}
        (ended,) = await listed(world)
        assert ended["status"] == "completed"
        assert ended["state"] == ended["rtc"]["state"] == "terminated"
        assert ended["end_time"] == ended["start_end"] != ""
        assert ended["duration"] == 0
        assert (await world.types())[-5:] == ["leg:status:update"] * 4 + ["sip:hangup"]
        events = await world.kit.events.list(world.conversation)
        assert [step["status"] for step in events[-2].body["statusHistory"]] == ["started", "ringing", "answered", "completed"]
        assert (await world.kit.members.get(world.conversation, world.members["ana"])).state == "joined"
        assert await world.json("DELETE", f"/legs/{leg.id}") == {}
        assert await listed(world) == []
        assert (await world.json("DELETE", f"/legs/{leg.id}", status=404))["code"] == "leg:error:not-found"


async def test_leaving_hangs_up() -> None:
    async with open_world() as world:
        await world.kit.legs.start(world.conversation, "app", member_id=world.members["ana"])
        other = await world.kit.legs.start(world.conversation, "app", member_id=world.members["max"])
        await world.kit.members.remove(world.conversation, world.members["ana"])
        assert [leg["status"] for leg in await listed(world)] == ["completed", "started"]
        assert (await world.kit.legs.get(other.id)).is_live
        assert (await world.types())[-3:] == ["leg:status:update", "rtc:hangup", "member:left"]


async def test_a_member_takes_a_knockers_leg_over() -> None:
    async with open_world() as world:
        knocker = await world.kit.legs.knock("phone", sender={"type": "phone", "number": "44"})
        assert knocker.direction == "inbound"
        (leg,) = await listed(world)
        assert leg["knocking_id"] == knocker.knocking_id
        assert "conversation_uuid" not in leg
        body = {"action": "join", "user_id": world.users["dee"], "channel": {"type": "phone"}, "knocking_id": knocker.knocking_id}
        made = await world.json("POST", f"{world.path}/members", status=201, json=body)
        assert made["channel"] == {
            "type": "phone",
            "knocking_id": knocker.knocking_id,
            "leg_id": knocker.id,
            "leg_ids": [{"leg_id": knocker.id}],
        }
        (leg,) = await listed(world)
        assert (leg["conversation_uuid"], leg["member_id"]) == (world.conversation, made["id"])
        assert "knocking_id" not in leg
        again = {**body, "user_id": world.users["cy"]}
        answer = await world.json("POST", f"{world.path}/members", status=404, json=again)
        assert answer["code"] == "knocking:error:not-found"


async def test_a_knocker_can_be_hung_up_before_anybody_answers() -> None:
    async with open_world(populate=False) as world:
        knocker = await world.kit.legs.knock("phone")
        await world.json("DELETE", f"/legs/{knocker.id}")
        assert [leg["status"] for leg in await listed(world)] == ["completed"]
        await world.json("DELETE", f"/legs/{knocker.id}")
        assert await listed(world) == []


async def test_only_admins_name_new_legs_and_nobody_takes_anothers() -> None:
    async with open_world() as world:
        body = {"action": "invite", "user_id": world.users["dee"], "channel": {"type": "phone", "leg_ids": ["carrier-7"]}}
        answer = await world.json("POST", f"{world.path}/members", "ana", status=404, json=body)
        assert answer["code"] == "leg:error:not-found"
        made = await world.json("POST", f"{world.path}/members", status=201, json=body)
        assert made["channel"]["leg_ids"] == [{"leg_id": "carrier-7"}]
        taken = {**body, "user_id": world.users["cy"]}
        answer = await world.json("POST", f"{world.path}/members", status=400, json=taken)
        assert answer["code"] == "leg:error:invalid-action"


async def test_repeats_and_late_facts_change_no_status_append_nothing_and_are_kept() -> None:
    async with open_world() as world:
        leg = await world.kit.legs.start(world.conversation, "phone")
        await world.kit.legs.update(leg.id, "ringing")
        heard: list[Signal] = []
        world.kit.on(LegSignal)(heard.append)
        log = await world.types()
        for late in ("started", "ringing", "ringing"):
            assert (await world.kit.legs.update(leg.id, late)).status == "ringing"
        assert (heard, await world.types()) == ([], log)
        busy = await world.kit.legs.update(leg.id, "busy", price="0.00")
        assert (busy.price, busy.duration) == ("0.00", 0)
        log = await world.types()
        for status in ("answered", "busy", "completed", None):
            assert (await world.kit.legs.update(leg.id, status)).status == "busy"
        told = await world.kit.legs.update(leg.id, "completed", price="0.05", rate="0.01", network="23410", duration=7)
        assert (told.status, told.end_time, told.history) == (busy.status, busy.end_time, busy.history)
        assert (told.price, told.rate, told.network, told.duration) == ("0.05", "0.01", "23410", 7)
        assert await world.kit.legs.get(leg.id) == told
        assert await world.types() == log
        assert [type(signal) for signal in heard] == [LegTerminated, LegUpdated]


async def test_a_hung_up_leg_learns_its_price_and_the_carriers_duration() -> None:
    async with open_world() as world:
        leg = await world.kit.legs.start(world.conversation, "phone")
        await world.kit.legs.update(leg.id, "answered", duration=3)
        await world.kit.legs.delete(leg.id)
        assert (await world.kit.legs.get(leg.id)).duration == 3
        told = await world.kit.legs.update(leg.id, "completed", price="0.05", duration=4)
        assert (told.status, told.price, told.duration) == ("completed", "0.05", 4)
        for wrong in (-1, 1.5, True, "4"):
            with pytest.raises(InvalidInput, match="duration"):
                await world.kit.legs.update(leg.id, duration=wrong)  # type: ignore[arg-type]


async def test_what_is_said_of_a_leg_is_checked() -> None:
    async with open_world() as world:
        leg = await world.kit.legs.start(world.conversation, "phone")
        with pytest.raises(InvalidInput):
            await world.kit.legs.update(leg.id, "sleeping")
        with pytest.raises(NotFound):
            await world.kit.legs.update("nothing", "answered")
        with pytest.raises(Conflict):
            await world.kit.legs.start(world.conversation, "phone", leg_id=leg.id)
        with pytest.raises(InvalidInput):
            await world.kit.legs.start(world.conversation, "pigeon")


async def test_a_call_is_put_through_to_another_conversation() -> None:
    async with open_world() as world:
        kit, ana = world.kit, world.members["ana"]
        other = (await kit.conversations.create("other")).id
        target = await kit.members.join(other, user_name="dee", channel={"type": "phone"})
        own = target.channel["leg_id"]
        leg = await kit.legs.start(world.conversation, "phone", member_id=ana)
        await kit.legs.update(leg.id, "answered")
        moved = await kit.legs.move(leg.id, other, member_id=target.id)
        assert (moved.conversation_id, moved.member_id, moved.status) == (other, target.id, "answered")
        assert "leg_id" not in (await kit.members.get(world.conversation, ana)).channel
        channel = (await kit.members.get(other, target.id)).channel
        assert (channel["leg_id"], channel["leg_ids"]) == (own, [{"leg_id": own}, {"leg_id": leg.id}])
        left, came = (await kit.events.list(world.conversation))[-1], (await kit.events.list(other))[-1]
        assert (left.type, left.sender, left.body["was_member"]) == ("rtc:transfer", ana, ana)
        assert "transferred_from" not in left.body
        assert (came.type, came.sender, came.body["transferred_from"]) == ("rtc:transfer", target.id, world.conversation)
        await kit.legs.update(leg.id, "completed")
        history = (await kit.events.list(other))[-2].body["statusHistory"]
        assert [(step["status"], step["conversation_id"], step["member_id"]) for step in history] == [
            ("started", world.conversation, ana),
            ("answered", world.conversation, ana),
            ("completed", other, target.id),
        ]
        assert (await world.types())[-1] == "rtc:transfer"
        with pytest.raises(Conflict, match="leg:error:complete"):
            await kit.legs.move(leg.id, world.conversation)


async def test_a_leg_whose_move_was_interrupted_can_be_moved_again() -> None:
    async with open_world() as world:
        leg = await world.kit.legs.start(world.conversation, "phone", member_id=world.members["ana"])
        for wrong, error in (("CON-none", NotFound), (world.conversation, Conflict)):
            with pytest.raises(error):
                await world.kit.legs.move(leg.id, wrong, member_id=world.members["cy"])
        assert (await world.kit.legs.get(leg.id)).conversation_id == world.conversation
        await detach_leg(world.kit, await world.kit.legs.get(leg.id), world.conversation)
        assert (await world.kit.legs.get(leg.id)).conversation_id is None
        moved = await world.kit.legs.move(leg.id, world.conversation, member_id=world.members["max"])
        assert (moved.conversation_id, moved.member_id) == (world.conversation, world.members["max"])


async def test_after_a_redial_the_channel_names_the_live_leg() -> None:
    async with open_world() as world:
        member, kit = world.members["ana"], world.kit
        first = await kit.legs.start(world.conversation, "phone", member_id=member)
        screen = await kit.legs.start(world.conversation, "phone", member_id=member)

        async def channel() -> Any:
            return (await kit.members.get(world.conversation, member)).channel

        assert (await channel())["leg_ids"] == [{"leg_id": first.id}, {"leg_id": screen.id}]
        await kit.legs.update(first.id, "busy")
        again = await kit.legs.start(world.conversation, "phone", member_id=member)
        assert (await channel())["leg_id"] == again.id
        assert (await channel())["leg_ids"][0] == {"leg_id": again.id}


@pytest.mark.parametrize("id", ["3f2c/7@carrier", "a b", "100%", "x?y#z", "..x"])
async def test_the_address_of_a_leg_leads_to_it_whatever_its_id(id: str) -> None:
    async with open_world() as world:
        await world.kit.legs.start(world.conversation, "phone", leg_id=id)
        (leg,) = await listed(world)
        assert leg["uuid"] == id
        path = leg["href"].removeprefix("http://host.test/beta")
        assert await world.json("DELETE", path) == {}
        assert (await world.kit.legs.get(id)).status == "completed"


async def test_an_id_that_no_address_can_hold_is_refused() -> None:
    async with open_world() as world:
        with pytest.raises(InvalidInput, match="leg_id"):
            await world.kit.legs.start(world.conversation, "phone", leg_id="..")
        body = {"action": "invite", "user_id": world.users["dee"], "channel": {"type": "phone", "leg_ids": ["a/../b"]}}
        assert (await world.json("POST", f"{world.path}/members", status=400, json=body))["code"] == "http:error:validation-fail"


async def test_the_list_of_legs_is_paged_and_dated() -> None:
    async with open_world() as world:
        ids = [(await world.kit.legs.start(world.conversation, "app")).id for _ in range(12)]
        first = await world.json("GET", "/legs")
        assert (first["count"], first["page_size"], first["record_index"]) == (12, 10, 0)
        assert [leg["uuid"] for leg in first["_embedded"]["legs"]] == ids[:10]
        last = await world.json("GET", "/legs?page_size=5&record_index=10&order=desc")
        assert [leg["uuid"] for leg in last["_embedded"]["legs"]] == ids[1::-1]
        assert (await world.json("GET", "/legs?date_end=2020-01-01"))["count"] == 0
        assert (await world.json("GET", "/legs?date_start=2020-01-01"))["count"] == 12


async def test_an_ended_knocker_cannot_be_taken_over() -> None:
    async with open_world() as world:
        knocker = await world.kit.legs.knock("phone")
        await world.kit.legs.update(knocker.id, "cancelled")
        body = {"action": "join", "user_id": world.users["dee"], "knocking_id": knocker.knocking_id, "channel": {"type": "phone"}}
        answer = await world.json("POST", f"{world.path}/members", status=404, json=body)
        assert answer["code"] == "knocking:error:not-found"


async def test_an_invitation_that_is_accepted_over_another_channel_ends_its_leg() -> None:
    async with open_world() as world:
        channel = {"type": "phone", "from": {"type": "phone"}, "to": {"type": "phone", "number": "44"}}
        invited = await world.kit.members.invite(world.conversation, user_name="dee", channel=channel)
        path = f"{world.path}/members/{invited.id}"
        joined = await world.json("PUT", path, "dee", json={"action": "join", "channel": {"type": "app"}})
        assert joined["channel"] == {"type": "app"}
        assert [leg["status"] for leg in await listed(world)] == ["completed"]
        body = (await world.kit.events.list(world.conversation))[-1].body
        assert body["user"]["display_name"] == "Dee"
