from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import anyio.lowlevel
import pytest
from fastapi import HTTPException as FastAPIHTTPException
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException as StarletteHTTPException

from conversation_kit import ConversationKit
from conversation_kit.auth import ADMIN, HostAuthenticator, HostUser
from conversation_kit.domain.errors import ConfigurationError, Forbidden, HookFailed, Unauthenticated
from conversation_kit.domain.principals import Principal
from tests.support.world import open_world

pytestmark = pytest.mark.anyio


def scope(who: Any) -> dict[str, Any]:
    return {"type": "http", "state": {"who": who}}


def sync(asked: Any) -> Any:
    return asked["state"]["who"]


async def later(asked: Any) -> Any:
    await anyio.lowlevel.checkpoint()
    return asked["state"]["who"]


class Sessions:
    """A host's own object, with an async ``__call__``."""

    async def __call__(self, asked: Any) -> Any:
        return asked["state"]["who"]


def awaitable(asked: Any) -> Awaitable[Any]:
    return later(asked)


@pytest.fixture(
    params=[sync, later, awaitable, Sessions(), lambda asked: asked["state"]["who"]], ids=lambda identify: type(identify).__name__
)
def identify(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.mark.parametrize("who", ["ana", "ü 1", " ", "x" * 255, HostUser("ana")], ids=str)
async def test_a_name_or_a_host_user_is_that_user(identify: Any, who: str | HostUser) -> None:
    name = who if isinstance(who, str) else who.name
    assert await HostAuthenticator(identify).authenticate(scope(who)) == Principal("default", name)


async def test_a_user_whose_name_to_show_changes_is_not_taken_as_before(identify: Any) -> None:
    auth = HostAuthenticator(identify, create_users=True)
    for shown in ("Ana", "Ana B.", None, "Ana"):
        principal = await auth.authenticate(scope(HostUser("ana", shown)))
        assert (principal.user_name, principal.display_name) == ("ana", shown)
    assert (await auth.authenticate(scope("ana"))).display_name is None


async def test_admin_is_the_application_itself(identify: Any) -> None:
    principal = await HostAuthenticator(identify, application_id="shop", create_users=True).authenticate(scope(ADMIN))
    assert principal == Principal("shop")
    assert principal.is_admin
    assert not principal.trusted
    assert not principal.create


async def test_a_users_profile_and_the_wish_to_create_reach_the_principal(identify: Any) -> None:
    user = HostUser("ana", display_name="Ana", image_url="https://host.test/ana.png")
    principal = await HostAuthenticator(identify, application_id="shop", create_users=True).authenticate(scope(user))
    assert principal == Principal("shop", "ana", create=True, display_name="Ana", image_url="https://host.test/ana.png")
    assert not (await HostAuthenticator(identify).authenticate(scope(user))).create


@pytest.mark.parametrize("who", [None, "", HostUser("")], ids=repr)
async def test_nobody_is_unauthenticated(identify: Any, who: Any) -> None:
    with pytest.raises(Unauthenticated) as caught:
        await HostAuthenticator(identify, create_users=True).authenticate(scope(who))
    assert caught.value.code == "system:error:invalid-token"


@pytest.mark.parametrize("name", ["x" * 256, "a\0b", "\ud800"], ids=["long", "NUL", "surrogate"])
async def test_a_name_that_no_user_can_have_is_unauthenticated(identify: Any, name: str) -> None:
    for who in (name, HostUser(name)):
        with pytest.raises(Unauthenticated) as caught:
            await HostAuthenticator(identify, create_users=True).authenticate(scope(who))
        assert caught.value.code == "system:error:invalid-token"


@pytest.mark.parametrize("who", [True, False, 0, 7, b"ana", ["ana"], {"name": "ana"}, HostUser(7), HostUser(None), object], ids=repr)  # type: ignore[arg-type]
async def test_a_wrong_answer_is_the_hosts_mistake(identify: Any, who: Any) -> None:
    with pytest.raises(ConfigurationError, match="identify must answer"):
        await HostAuthenticator(identify).authenticate(scope(who))


@pytest.mark.parametrize("profile", [{"display_name": 5}, {"display_name": b"Ana"}, {"image_url": b"x"}, {"image_url": ["x"]}], ids=str)
async def test_a_profile_that_is_no_text_is_the_hosts_mistake(identify: Any, profile: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="are strings"):
        await HostAuthenticator(identify, create_users=True).authenticate(scope(HostUser("ana", **profile)))


async def test_a_text_that_reads_admin_is_a_users_name(identify: Any) -> None:
    for name in ("admin", "ADMIN"):
        assert (await HostAuthenticator(identify).authenticate(scope(name))).user_name == name


async def test_what_the_host_raises_goes_through_unchanged() -> None:
    def refuse(asked: Any) -> str:
        raise Unauthenticated("Your session has ended.", "shop:error:session")

    with pytest.raises(Unauthenticated) as caught:
        await HostAuthenticator(refuse).authenticate(scope("ana"))
    assert caught.value.code == "shop:error:session"


class FrameworkHTTPException(Exception):
    def __init__(self, code: int) -> None:
        self.code = code


FrameworkHTTPException.__name__ = "HTTPException"  # Werkzeug's


@pytest.mark.parametrize("make", [StarletteHTTPException, FastAPIHTTPException, FrameworkHTTPException])
@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, Unauthenticated), (403, Forbidden), (400, Unauthenticated), (303, Unauthenticated), (429, Unauthenticated), (503, HookFailed)],
)
async def test_an_http_error_of_the_hosts_framework_keeps_its_meaning(make: Any, status: int, kind: type[Exception]) -> None:
    def refuse(asked: Any) -> str:
        raise make(status)

    async def refuse_later(asked: Any) -> str:
        raise make(status)

    for identify in (refuse, refuse_later):
        with pytest.raises(kind):
            await HostAuthenticator(identify).authenticate(scope("ana"))


async def test_what_an_http_error_says_is_what_the_client_reads() -> None:
    def refuse(asked: Any) -> str:
        raise StarletteHTTPException(403, "Your account is closed.")

    kit = ConversationKit(storage="memory://", auth=HostAuthenticator(refuse))
    async with open_world(kit, populate=False) as world:
        answer = await world.json("GET", "/conversations", None, status=403)
        assert (answer["code"], answer["description"]) == ("system:error:permission", "Your account is closed.")


async def test_other_errors_of_the_host_stay_what_they_are() -> None:
    class Upstream(Exception):
        status_code = 401

    def refuse(asked: Any) -> str:
        raise Upstream

    with pytest.raises(Upstream):
        await HostAuthenticator(refuse).authenticate(scope("ana"))


@given(st.text())
async def test_any_text_is_a_user_or_nobody(name: str) -> None:
    try:
        principal = await HostAuthenticator(sync).authenticate(scope(name))
    except Unauthenticated:
        assert name == "" or len(name) > 255 or "\0" in name
    else:
        assert principal.user_name == name


def test_it_serves_one_application() -> None:
    assert tuple(HostAuthenticator(sync).applications) == ("default",)
    assert tuple(HostAuthenticator(sync, application_id="shop").applications) == ("shop",)


def test_it_needs_a_function_and_an_application() -> None:
    for wrong in (None, "ana", ADMIN):
        with pytest.raises(ConfigurationError, match="function"):
            HostAuthenticator(wrong)  # type: ignore[arg-type]
    for id in ("", None, 1):
        with pytest.raises(ConfigurationError, match="application_id"):
            HostAuthenticator(sync, application_id=id)  # type: ignore[arg-type]
