"""The shapes of request bodies. Unknown keys are tolerated: real clients send some (``originating_session``, ``cid``)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints
from typing_extensions import TypedDict

from conversation_kit.domain.values.checks import IMAGE_URL, MAX_LEGS, MAX_NAME, MAX_URL
from conversation_kit.http.beta.schemas import examples
from conversation_kit.http.serving.body import Body

NO_NUL = r"^[^\x00]*$"
Name = Annotated[str, StringConstraints(max_length=MAX_NAME, pattern=NO_NUL)]
DisplayName = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME, pattern=NO_NUL)]
ImageURL = Annotated[str, StringConstraints(max_length=MAX_URL, pattern=IMAGE_URL), Field(json_schema_extra={"format": "url"})]
Id = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME, pattern=NO_NUL)]
ChannelType = Literal["app", "phone", "sip", "websocket", "vbc"]
KEEP = ConfigDict(strict=True, extra="allow")


def absent(description: str, example: Any) -> Any:
    """Make a field that may be left out but not be ``null``."""
    return Field(default=None, description=description, examples=[example], json_schema_extra=_without_default)


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


class Endpoint(TypedDict, total=False):
    """One end of a channel; the keys beside ``type`` depend on it and are kept."""

    __pydantic_config__ = KEEP  # type: ignore[misc]

    type: Annotated[ChannelType, Field(description="What kind of end it is.", examples=["phone"])]
    number: Annotated[Name, Field(description="Its phone number, or another name for it.", examples=["14155550100"])]


class LegReference(TypedDict, total=False):
    """A leg by its id."""

    __pydantic_config__ = KEEP  # type: ignore[misc]

    leg_id: Annotated[Name, Field(description="The id of a leg.", examples=[examples.LEG])]


Channel = TypedDict(
    "Channel",
    {
        "type": Annotated[ChannelType, Field(description="The medium over which the member takes part.", examples=["app"])],
        "leg_id": Annotated[Name, Field(description="The id of the channel's main leg.", examples=[examples.LEG])],
        "from": Annotated[Endpoint, Field(description="The near end.", examples=[{"type": "app"}])],
        "to": Annotated[Endpoint, Field(description="The far end.", examples=[{"type": "phone", "number": "14155550100"}])],
        "leg_ids": Annotated[
            list[LegReference | Name],
            Field(max_length=MAX_LEGS, description="Its legs, the main one first.", examples=[[{"leg_id": examples.LEG}]]),
        ],
    },
    total=False,
)
Channel.__doc__ = "How a member is connected; keys beyond these are kept."
Channel.__pydantic_config__ = KEEP  # type: ignore[attr-defined]


class Numbers(TypedDict, total=False):
    """The conversation's own numbers, by medium; further media are kept."""

    __pydantic_config__ = KEEP  # type: ignore[misc]

    sms: Annotated[Name | int | float | None, Field(description="The number for text messages.", examples=["14155550100"])]
    pstn: Annotated[Name | int | float | None, Field(description="The number for calls.", examples=["14155550101"])]


class Properties(TypedDict, total=False):
    """Settings of a conversation; further keys are kept."""

    __pydantic_config__ = KEEP  # type: ignore[misc]

    ttl: Annotated[
        Annotated[int, Field(ge=0, le=2**53)]
        | Annotated[float, Field(ge=0, lt=2**53)]
        | Annotated[str, StringConstraints(pattern=r"^[0-9]{1,15}(\.[0-9]{1,15})?$")]
        | None,
        Field(description="Seconds after which the conversation is deleted while nobody is joined; 0 is never.", examples=[3600]),
    ]
    video: Annotated[bool | None, Field(description="Kept for clients that set it.", examples=[False])]
    speaking_detection_level: Annotated[int | float | None, Field(description="Kept for clients that set it.", examples=[0])]


class ConversationBody(Body):
    """A conversation to create, or what to change of one."""

    name: Name = absent("Unique in the application; generated when a new conversation has none.", "support")
    display_name: DisplayName | None = absent("The name to show; need not be unique. `null` clears it.", "Support")
    image_url: ImageURL | None = absent("Where a picture for it is. `null` clears it.", "https://example.com/support.png")
    numbers: Numbers | None = absent("The conversation's own numbers by medium.", {"sms": "14155550100"})
    properties: Properties | None = absent("Settings, such as the time to live.", {"ttl": 3600})


class UserBody(Body):
    """A user to create, or what to change of one."""

    name: Name = absent("Unique in the application, and what tokens carry as `sub`; generated when a new user has none.", "dana")
    display_name: DisplayName | None = absent("The name to show; need not be unique. `null` clears it.", "Dana")
    image_url: ImageURL | None = absent("Where a picture of the user is. `null` clears it.", "https://example.com/dana.png")
    channels: Channel | dict[str, Any] | None = absent(
        "How the user can be reached.", {"type": "phone", "to": {"type": "phone", "number": "14155550100"}}
    )
    properties: dict[str, Any] | None = absent(
        "What the host keeps with the user, such as `custom_data`.", {"custom_data": {"team": "support"}}
    )


class MemberBody(Body):
    """A new membership: whose, and over which channel. A user that joins without naming anybody joins itself."""

    # Told by `if`: of a choice of shapes most generators of clients would make several, and lose the fields that they share.
    model_config = ConfigDict(
        json_schema_extra={
            "if": {"not": {"anyOf": [{"required": ["user_id"]}, {"required": ["user_name"]}]}},
            "then": {"required": ["member_id", "action"], "properties": {"action": {"const": "join"}}},
        }
    )

    action: Literal["invite", "join"] = Field(
        default="invite", description="Whether the user is invited, or joins at once.", examples=["invite"]
    )
    user_id: Id = absent("The user; or give `user_name`, or, to accept an invitation, `member_id`.", examples.USER)
    user_name: Id = absent("The user by name.", "bo")
    member_id: Id = absent("With `join`: the member whose invitation is accepted.", examples.MEMBER)
    channel: Channel = absent("How the member is connected; an app if absent.", {"type": "app"})
    media: dict[str, Any] | None = absent(
        "The member's media, such as `audio_settings`.", {"audio_settings": {"enabled": True, "earmuffed": False, "muted": False}}
    )
    knocking_id: Id | None = absent("The knocker whose leg the member takes over.", "0190b6d1-52a5-7a1e-9a3c-3f6f1f1f0c15")
    member_id_inviting: Id | None = absent("The joined member that invites; the caller's own by default.", examples.MEMBER)


class MemberUpdateBody(Body):
    """Acceptance of an invitation by the invited member."""

    action: Literal["invite", "join"] = Field(default="join", description="Only `join` is possible here.", examples=["join"])
    channel: Channel = absent("What changes of the member's channel.", {"type": "app"})


class EventBody(Body):
    """An event to append."""

    type: Annotated[
        str, Field(min_length=1, max_length=100, description="Such as `text`, `text:seen` or `custom:rating`.", examples=["text"])
    ]
    sender: Id | None = Field(
        default=None,
        alias="from",
        description="The joined member that sends it; may be absent when the caller is joined once, or is an admin.",
        examples=[examples.MEMBER],
        json_schema_extra=_without_default,
    )
    to: Id | None = absent("The member it is meant for.", examples.MEMBER)
    body: dict[str, Any] | None = absent("What the event says; its keys depend on the type.", {"text": "Hello"})


class ActorBody(Body):
    """On whose behalf something is deleted; older clients send it as a body, newer ones as query parameters."""

    sender: Id | None = Field(
        default=None, alias="from", description="The acting member.", examples=[examples.MEMBER], json_schema_extra=_without_default
    )
