"""The shapes of responses. Keys without a value are left out, never ``null``."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from conversation_kit.http.beta.schemas import examples
from conversation_kit.http.beta.schemas.bodies import Channel, Properties

ConversationId = Annotated[str, Field(description="The conversation's id.", examples=[examples.CONVERSATION])]
MemberId = Annotated[str, Field(description="The member's id.", examples=[examples.MEMBER])]
UserId = Annotated[str, Field(description="The user's id.", examples=[examples.USER])]
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
    """Link to the thing itself."""

    self: Link


class ConversationLinks(SelfLinks):
    """Links to a conversation, and to the list of all its members."""

    members: Link


class PageLinks(TypedDict):
    """Links to this page and to its neighbours."""

    self: Link
    first: NotRequired[Link]
    next: NotRequired[Link]
    prev: NotRequired[Link]


class ConversationTimes(TypedDict):
    """Times of what happened to a conversation."""

    created: Time
    updated: NotRequired[Time]
    destroyed: NotRequired[Time]


class MemberTimes(TypedDict):
    """Times at which a member reached each of its states."""

    invited: NotRequired[Time]
    joined: NotRequired[Time]
    left: NotRequired[Time]


class CreationTime(TypedDict):
    """Time of its creation."""

    created: Time


class Initiative(TypedDict):
    """The one who brought a member to a state: the application itself (`isSystem`), or a user with a member."""

    isSystem: NotRequired[Annotated[bool, Field(description="True when an admin did it; then there is no user.")]]
    user_id: NotRequired[UserId]
    member_id: NotRequired[MemberId]


class Initiator(TypedDict):
    """The ones who brought the member to each of its states."""

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
    display_name: NotRequired[DisplayName]
    image_url: NotRequired[ImageURL]
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
    _links: ConversationLinks


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
    properties: Annotated[dict[str, Any], Field(description="What the host keeps with the user, such as `custom_data`.")]
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
    display_name: NotRequired[DisplayName]
    image_url: NotRequired[ImageURL]
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
    display_name: NotRequired[DisplayName]
    image_url: NotRequired[ImageURL]
    media: NotRequired[Media]
    invited_by: NotRequired[Annotated[str, Field(description="The inviting user's id.")]]


class TicketTimestamp(TypedDict):
    """Time at which the ticket ends."""

    expires: Time


class StreamTicket(TypedDict):
    """A ticket that opens a live stream without a token, once."""

    ticket: Annotated[str, Field(description="The query parameter `ticket` of the stream.")]
    href: Annotated[str, Field(description="The stream, ticket and all; `ws` in place of `http` for a WebSocket.")]
    timestamp: TicketTimestamp


class BlockTimestamp(TypedDict):
    """Since when."""

    created: Time


class Block(TypedDict):
    """A user whose invitations another one does not take."""

    user_id: UserId
    timestamp: BlockTimestamp
    href: Href


class CreatedEvent(TypedDict):
    """Place of a new event in the log; an ephemeral one (typing) has neither id nor place."""

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
        # A title of its own: generators of clients would call it `EventBody`, as the body of the request.
        "body": Annotated[dict[str, Any], Field(title="Content", description="What it says; of a deleted event only when it was deleted.")],
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

EventRecords = Annotated[str, Field(description="Records of server-sent events; the `data` of each is an event as JSON.")]


class Problem(TypedDict):
    """Description of an error. Clients branch on `code`."""

    type: Annotated[str, Field(description="`about:blank`: the status says what kind of problem it is.", examples=["about:blank"])]
    title: Annotated[str, Field(description="The status in words.", examples=["Bad Request"])]
    status: Annotated[int, Field(description="The status.", examples=[400])]
    detail: Annotated[str, Field(description="The same as `description`.", examples=["Input validation failure: name must be a string."])]
    instance: Annotated[str, Field(description="The path that was asked for.", examples=["/beta/conversations"])]
    code: Annotated[str, Field(description="Stable, such as `conversation:error:not-found`.", examples=["http:error:validation-fail"])]
    description: Annotated[
        str,
        Field(description="What was wrong and what to do, for a person.", examples=["Input validation failure: name must be a string."]),
    ]
    error: NotRequired[
        Annotated[
            dict[str, list[str]], Field(description="What is wrong with which field.", examples=[{"name": ['"name" must be a string']}])
        ]
    ]
    retry_after: NotRequired[Annotated[int, Field(description="In how many seconds a limit allows it.", examples=[3])]]
