"""The shop of the example keeps its promise on each database for which there is an async driver."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from conversation_kit import ConversationKit, LegTerminated
from examples.shared_transaction import make_shop
from tests.integration.transactions.host import ASYNC_DRIVERS
from tests.support.databases import fresh


@pytest.fixture(params=sorted(ASYNC_DRIVERS))
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TestClient]:
    with fresh(request.param, tmp_path) as url, TestClient(make_shop(url), headers={"X-User": "ana"}) as client:
        yield client


def test_an_order_and_its_conversation_are_one_commit(client: TestClient) -> None:
    placed = client.post("/orders/teapot")
    assert placed.status_code == 200, placed.text
    assert client.post("/orders/unicorn").status_code == 409
    orders = client.get("/orders").json()
    assert [(order["what"], order["conversation_id"]) for order in orders] == [("teapot", placed.json()["conversation_id"])]
    kit = client.app.state.kit  # type: ignore[attr-defined]
    assert client.portal is not None
    rooms = client.portal.call(kit.conversations.list)
    assert [room.id for room in rooms.items] == [placed.json()["conversation_id"]]
    assert [user.display_name for user in client.portal.call(kit.users.list).items] == ["ana"]


def test_the_end_of_a_call_and_its_bill_are_one_commit(client: TestClient) -> None:
    leg = client.post("/orders/teapot").json()["leg_id"]
    assert client.get("/bills").json() == []
    assert client.post(f"/calls/{leg}/ended").json() == {"status": "completed"}
    assert client.get("/bills").json() == [{"leg_id": leg, "seconds": 0}]


def test_a_call_whose_bill_cannot_be_written_has_not_ended(client: TestClient) -> None:
    kit: ConversationKit = client.app.state.kit  # type: ignore[attr-defined]

    @kit.within(LegTerminated)
    def fail(signal: LegTerminated, session: object) -> None:
        raise ZeroDivisionError

    leg = client.post("/orders/teapot").json()["leg_id"]
    assert client.portal is not None
    with pytest.raises(Exception, match="hook"):
        client.post(f"/calls/{leg}/ended")
    assert client.get("/bills").json() == []
    assert client.portal.call(kit.legs.get, leg).status == "started"
