"""The shapes of responses about legs."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from conversation_kit.http.beta.schemas import examples
from conversation_kit.http.beta.schemas.responses import ConversationId, Count, Href, MemberId, PageLinks, PageSize, RecordIndex, SelfLinks

LegId = Annotated[str, Field(description="The leg's id.", examples=[examples.LEG])]


class Rtc(TypedDict):
    """The leg's media session."""

    session_id: str
    state: NotRequired[Literal["terminated"]]


LegState = Annotated[Literal["terminated"], Field(description="There once the leg has ended.")]
LegStatus = Annotated[str, Field(description="started, ringing, answered, machine, or how the leg ended: completed, busy, ...")]

Leg = TypedDict(
    "Leg",
    {
        "uuid": LegId,
        "name": LegId,
        "href": Href,
        "type": Annotated[Literal["app", "phone", "sip", "websocket", "vbc"], Field(description="Its medium.")],
        "conversation_uuid": NotRequired[ConversationId],
        "member_id": NotRequired[MemberId],
        "knocking_id": NotRequired[Annotated[str, Field(description="The knocker's id, until a member takes the leg over.")]],
        "status": LegStatus,
        "state": NotRequired[LegState],
        "direction": Annotated[str, Field(description="inbound or outbound.")],
        "from": Annotated[dict[str, Any], Field(description="The near end.")],
        "to": Annotated[dict[str, Any], Field(description="The far end.")],
        "start_time": Annotated[str, Field(description="When it was answered, or empty.")],
        "start_end": Annotated[str, Field(description="The same as `end_time`.")],
        "end_time": Annotated[str, Field(description="When it ended, or empty.")],
        "duration": NotRequired[Annotated[int, Field(description="Seconds between the two.")]],
        "rate": NotRequired[str],
        "price": NotRequired[str],
        "network": NotRequired[str],
        "rtc": Rtc,
        "_links": SelfLinks,
        "_embedded": Annotated[dict[str, Any], Field(description="Nothing at present.")],
    },
)
Leg.__doc__ = "A leg of a call."


class EmbeddedLegs(TypedDict):
    """The legs of a page."""

    legs: list[Leg]


class LegList(TypedDict):
    """A page of legs."""

    count: Count
    page_size: PageSize
    record_index: RecordIndex
    _links: PageLinks
    _embedded: EmbeddedLegs
