"""The shapes of answers. Keys without a value are left out, never ``null``."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from conversation_kit.http.requests import Channel, Properties

ConversationId = Annotated[str, Field(description="The conversation's id.", examples=["CON-0190b6d1-52a5-7a1e-9a3c-3f6f1f1f0c11"])]
MemberId = Annotated[str, Field(description="The member's id.", examples=["MEM-0190b6d1-52a5-7a1e-9a3c-3f6f1f1f0c12"])]
UserId = Annotated[str, Field(description="The user's id.", examples=["USR-0190b6d1-52a5-7a1e-9a3c-3f6f1f1f0c13"])]
LegId = Annotated[str, Field(description="The leg's id.")]
EventId = Annotated[str, Field(description="The event's position in its conversation, counted from 1.", examples=["5"])]
Href = Annotated[str, Field(description="Where it is found.", json_schema_extra={"format": "uri"})]
Time = Annotated[str, Field(description="ISO 8601, UTC, milliseconds.", examples=["2026-01-01T14:00:00.000Z"])]
ConversationName = Annotated[str, Field(description="The conversation's unique name.")]
UserName = Annotated[str, Field(description="The user's unique name.")]
DisplayName = Annotated[str, Field(description="The name to show.")]
ImageURL = Annotated[str, Field(description="Where a picture is.")]
State = Annotated[
    Literal["invited", "joined", "left", "unknown"],
    Field(description="How far the membership is. This server never answers `unknown`."),
]
SequenceNumber = Annotated[str, Field(description="The id of the conversation's last event, `0` when it has none.")]
Count = Annotated[int, Field(description="How many there are in all, before paging.")]
PageSize = Annotated[int, Field(ge=1, le=100, description="How many were asked for.")]
RecordIndex = Annotated[int, Field(ge=0, description="The row offset of the first one.")]
Media = Annotated[dict[str, Any], Field(description="The member's media, such as `audio_settings`.")]


class Empty(TypedDict):
    """Nothing to say but that it is done."""


class Link(TypedDict):
    """A link in the manner of HAL."""

    href: Href


class SelfLinks(TypedDict):
    """Where the thing itself is."""

    self: Link


class PageLinks(TypedDict):
    """Where this page is, and its neighbours."""

    self: Link
    first: NotRequired[Link]
    next: NotRequired[Link]
    prev: NotRequired[Link]


class ConversationTimes(TypedDict):
    """When what happened to a conversation."""

    created: Time
    updated: NotRequired[Time]
    destroyed: NotRequired[Time]


class MemberTimes(TypedDict):
    """When a member reached each of its states."""

    invited: NotRequired[Time]
    joined: NotRequired[Time]
    left: NotRequired[Time]


class CreationTime(TypedDict):
    """When it was created."""

    created: Time


class Initiative(TypedDict):
    """Who brought a member to a state: the application itself (`isSystem`), or a user with a member."""

    isSystem: NotRequired[Annotated[bool, Field(description="True when an admin did it; then there is no user.")]]
    user_id: NotRequired[UserId]
    member_id: NotRequired[MemberId]


class Initiator(TypedDict):
    """Who brought the member to each of its states."""

    invited: NotRequired[Initiative]
    joined: NotRequired[Initiative]
    left: NotRequired[Initiative]


class ConversationLite(TypedDict):
    """A conversation's id and where it is."""

    id: ConversationId
    href: Href


class EmbeddedMember(TypedDict):
    """A member inside its conversation."""

    member_id: MemberId
    user_id: UserId
    name: UserName
    state: State
    timestamp: MemberTimes
    initiator: Initiator
    channel: Channel
    media: NotRequired[Media]
    invited_by: NotRequired[Annotated[str, Field(description="The inviting user's id.")]]


class Conversation(TypedDict):
    """A conversation with its members."""

    uuid: ConversationId
    name: ConversationName
    display_name: NotRequired[DisplayName]
    image_url: NotRequired[ImageURL]
    numbers: Annotated[dict[str, Any], Field(description="Its own numbers by medium.")]
    properties: Properties
    timestamp: ConversationTimes
    sequence_number: SequenceNumber
    members: Annotated[list[EmbeddedMember], Field(description="Its members, invited and joined ones first.")]
    api_key: Annotated[str, Field(description="The key of the application that owns it: its id.")]
    _links: SelfLinks


class ListedConversation(TypedDict):
    """A conversation in a list."""

    uuid: ConversationId
    name: ConversationName
    href: Href
    _links: SelfLinks


class EmbeddedConversations(TypedDict):
    """The conversations of a page."""

    conversations: list[ListedConversation]


class ConversationList(TypedDict):
    """A page of conversations."""

    count: Count
    page_size: PageSize
    record_index: RecordIndex
    _links: PageLinks
    _embedded: EmbeddedConversations


class CreatedUser(TypedDict):
    """A user that now exists."""

    id: UserId
    name: UserName
    display_name: NotRequired[DisplayName]
    href: Href


class ListedUser(TypedDict):
    """A user in a list."""

    id: UserId
    name: UserName
    href: Href


class User(TypedDict):
    """A user."""

    id: UserId
    name: UserName
    display_name: NotRequired[DisplayName]
    image_url: NotRequired[ImageURL]
    channels: Annotated[dict[str, Any], Field(description="How the user can be reached.")]
    href: Href


class UpdatedUser(TypedDict):
    """A user's id and where it is."""

    id: UserId
    href: Href


class UserConversation(TypedDict):
    """A conversation as one of its members has it."""

    id: ConversationId
    name: ConversationName
    display_name: NotRequired[DisplayName]
    image_url: NotRequired[ImageURL]
    state: State
    member_id: MemberId
    sequence_number: Annotated[int, Field(description="The id of the conversation's last event, 0 when it has none.")]
    seen: Annotated[int, Field(description="The id of the event up to which the member has read, 0 when it has none.")]
    unread: Annotated[int, Field(ge=0, description="How many messages came after that one.")]
    timestamp: CreationTime
    href: Href


class ListedMember(TypedDict):
    """A member in a list."""

    id: MemberId
    member_id: MemberId
    user_id: UserId
    user_name: UserName
    name: UserName
    state: State


class CreatedMember(TypedDict):
    """A member as its invitation or joining made it."""

    id: MemberId
    user_id: UserId
    state: State
    timestamp: MemberTimes
    channel: Channel
    href: Href
    initiator: Initiator


class Member(CreatedMember):
    """A member."""

    user_name: UserName
    name: UserName
    media: NotRequired[Media]
    invited_by: NotRequired[Annotated[str, Field(description="The inviting user's id.")]]


class TicketTimestamp(TypedDict):
    """When the ticket ends."""

    expires: Time


class StreamTicket(TypedDict):
    """What opens a live stream without a token, once."""

    ticket: Annotated[str, Field(description="The query parameter `ticket` of the stream.")]
    href: Annotated[str, Field(description="The stream, ticket and all; `ws` in place of `http` for a WebSocket.")]
    timestamp: TicketTimestamp


class CreatedEvent(TypedDict):
    """Where an event landed; an ephemeral one (typing) has neither id nor place."""

    id: NotRequired[EventId]
    timestamp: Time
    href: NotRequired[Href]


Event = TypedDict(
    "Event",
    {
        "id": EventId,
        "type": Annotated[str, Field(description="Such as `text` or `member:joined`.")],
        "from": NotRequired[Annotated[str, Field(description="The id of the member it is from; absent when an admin sent it.")]],
        "to": NotRequired[Annotated[str, Field(description="The id of the member it is meant for.")]],
        "body": Annotated[dict[str, Any], Field(description="What it says; of a deleted event only when it was deleted.")],
        "state": NotRequired[
            Annotated[
                dict[Literal["delivered_to", "seen_by"], dict[str, Time]],
                Field(description="When it got to which member, and when which member saw it."),
            ]
        ],
        "timestamp": Time,
        "href": Href,
    },
)
Event.__doc__ = "An event of a conversation's log."


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


class Error(TypedDict):
    """What was wrong. Clients branch on `code`."""

    type: Annotated[str, Field(description="`about:blank`: the status says what kind of problem it is.")]
    title: Annotated[str, Field(description="The status in words.")]
    status: Annotated[int, Field(description="The status.")]
    detail: Annotated[str, Field(description="The same as `description`.")]
    instance: Annotated[str, Field(description="The path that was asked for.")]
    code: Annotated[str, Field(description="Stable, such as `conversation:error:not-found`.")]
    description: Annotated[str, Field(description="What was wrong and what to do, for a person.")]
    error: NotRequired[Annotated[dict[str, list[str]], Field(description="What is wrong with which field.")]]
