"""``--limit``, ``--no-limits`` and ``--meter`` of ``conversation-kit serve``."""

from __future__ import annotations

from pathlib import Path

import anyio
import httpx2
import pytest

from conversation_kit import ConfigurationError, Limits, Quotas, StreamLimits
from conversation_kit.auth import make_token
from conversation_kit.cli.limits import DEFAULTS, limits_of
from tests.support import brokers
from tests.support.processes import connections, run, serve
from tests.support.world import APP, keys

SECONDS = 30.0


def given(folder: Path, *arguments: str) -> list[str]:
    (folder / "public.pem").write_text(keys(APP)[1])
    return ["--application", f"{APP}={folder / 'public.pem'}", "--storage", "memory://", *arguments]


def found(server_url: str, times: int) -> list[httpx2.Response]:
    """Create a user, and as many conversations as that user."""
    url = server_url + "/beta"
    admin, ana = ({"Authorization": f"Bearer {make_token(keys(APP)[0], APP, sub=sub, ttl=600)}"} for sub in (None, "ana"))
    assert httpx2.post(url + "/users", headers=admin, json={"name": "ana"}, timeout=SECONDS, trust_env=False).status_code == 200
    return [httpx2.post(url + "/conversations", headers=ana, json={}, timeout=SECONDS, trust_env=False) for _ in range(times)]


def test_the_defaults_limit_each_user_and_no_application() -> None:
    made = limits_of(DEFAULTS)
    assert set(made["limits"].per_user.rates) == {"events", "event_bytes", "conversations", "invitations", "tickets"}
    assert made["limits"].per_application == Quotas()
    assert made["stream_limits"] == StreamLimits()


def test_later_limits_take_the_place_of_earlier_ones() -> None:
    made = limits_of([*DEFAULTS, "events=5/second", "tickets=none", "streams=3", "application.streams=9", "application.events=7/day"])
    per_user = Quotas(events="5/second", event_bytes="6000000/minute", conversations="100/hour", invitations="200/hour")
    assert made["limits"] == Limits(per_user, Quotas(events="7/day"))
    assert made["stream_limits"] == StreamLimits(per_user=3, per_application=9)


def test_without_limits_nothing_is_counted() -> None:
    assert limits_of(None) == {"limits": None, "stream_limits": StreamLimits()}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("events", "--limit takes"),
        ("events=", "--limit takes"),
        ("event=5/second", "--limit takes"),
        ("application=5/second", "--limit takes"),
        ("events=5/week", "Quotas, events: A rate is written such as 600/minute"),
        ("event_bytes=5/second", "at least 65536 for event_bytes"),
        ("streams=5/second", "--limit streams= takes a number"),
        ("streams=none", "--limit streams= takes a number"),
        ("streams=0", "--limit streams= takes a number"),
    ],
)
def test_what_is_no_limit_is_refused(text: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        limits_of([text])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--limit", "events=many"], "Quotas, events"),
        (["--no-limits", "--limit", "events=5/second"], "--no-limits goes neither with --limit nor with --meter."),
        (["--no-limits", "--meter", "storage"], "--no-limits goes neither with --limit nor with --meter."),
        (["--meter", "storage"], "MemoryStorage is none"),
        (["--meter", "gopher://there"], "no installed adapter knows 'gopher://there'"),
    ],
)
def test_options_that_cannot_be_are_refused_with_one_sentence(arguments: list[str], told: str, tmp_path: Path) -> None:
    done = run("serve", *given(tmp_path, *arguments))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert told in done.stderr


def test_a_server_limits_by_itself_and_as_it_is_told(tmp_path: Path) -> None:
    with serve(tmp_path, *given(tmp_path, "--limit", "conversations=2/day")) as server:
        answers = found(server.url, 3)
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert answers[0].headers["ratelimit-policy"] == '"conversations";q=2;w=86400'
    with serve(tmp_path, *given(tmp_path)) as server:
        assert found(server.url, 1)[0].headers["ratelimit-policy"] == '"conversations";q=100;w=3600'
    with serve(tmp_path, *given(tmp_path, "--no-limits")) as server:
        assert "ratelimit-policy" not in found(server.url, 1)[0].headers


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # of the test's own clients
@pytest.mark.parametrize("meter", ["storage", "redis"])
async def test_four_workers_let_no_more_through_than_one(meter: str, tmp_path: Path) -> None:
    application = brokers.new_channel()  # of whom no other test counts anything
    (tmp_path / "public.pem").write_text(keys(APP)[1])
    arguments = ["--application", f"{application}={tmp_path / 'public.pem'}", "--storage", "sqlite:///chat.db"]
    limits = ["--limit", "conversations=40/day", "--meter", "storage" if meter == "storage" else brokers.url_of("redis")]
    admin, ana = ({"Authorization": f"Bearer {make_token(keys(APP)[0], application, sub=sub, ttl=600)}"} for sub in (None, "ana"))
    statuses: list[int] = []

    async def post(client: httpx2.AsyncClient) -> None:
        for _ in range(15):
            statuses.append((await client.post("/beta/conversations", headers=ana, json={})).status_code)

    with serve(tmp_path, *arguments, *limits, workers=4) as server:
        async with connections(server, 1) as clients, anyio.create_task_group() as group:
            assert (await clients[0].post("/beta/users", headers=admin, json={"name": "ana"})).status_code == 200
            for client in clients:
                group.start_soon(post, client)
    assert sorted(statuses) == [200] * 40 + [429] * 20
