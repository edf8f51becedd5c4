"""The shapes of request bodies. Unknown keys are tolerated: real clients send some (``originating_session``, ``cid``)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from typing_extensions import TypedDict

from conversation_kit.domain.values import IMAGE_URL, MAX_LEGS, MAX_NAME, MAX_URL

NO_NUL = r"^[^\x00]*$"
Name = Annotated[str, StringConstraints(max_length=MAX_NAME, pattern=NO_NUL)]
DisplayName = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME, pattern=NO_NUL)]
ImageURL = Annotated[str, StringConstraints(max_length=MAX_URL, pattern=IMAGE_URL), Field(json_schema_extra={"format": "url"})]
Id = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME, pattern=NO_NUL)]
ChannelType = Literal["app", "phone", "sip", "websocket", "vbc"]
KEEP = ConfigDict(strict=True, extra="allow")


def absent(description: str) -> Any:
    """A field that may be left out but not be ``null``."""
    return Field(default=None, description=description, json_schema_extra=_without_default)


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


class Endpoint(TypedDict, total=False):
    """One end of a channel; the keys beside ``type`` depend on it and are kept."""

    __pydantic_config__ = KEEP  # type: ignore[misc]

    type: Annotated[ChannelType, Field(description="What kind of end it is.")]
    number: Annotated[Name, Field(description="Its phone number, or another name for it.")]


class LegReference(TypedDict, total=False):
    """A leg by its id."""

    __pydantic_config__ = KEEP  # type: ignore[misc]

    leg_id: Annotated[Name, Field(description="The id of a leg.")]


Channel = TypedDict(
    "Channel",
    {
        "type": Annotated[ChannelType, Field(description="The medium over which the member takes part.")],
        "leg_id": Annotated[Name, Field(description="The id of the channel's main leg.")],
        "from": Annotated[Endpoint, Field(description="The near end.")],
        "to": Annotated[Endpoint, Field(description="The far end.")],
        "leg_ids": Annotated[list[LegReference | Name], Field(max_length=MAX_LEGS, description="Its legs, the main one first.")],
    },
    total=False,
)
Channel.__doc__ = "How a member is connected; keys beyond these are kept."
Channel.__pydantic_config__ = KEEP  # type: ignore[attr-defined]


class Body(BaseModel):
    """A request body."""

    model_config = ConfigDict(strict=True, extra="ignore")

    def given(self) -> dict[str, Any]:
        """The fields that the request has, ``null`` ones too."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class Numbers(TypedDict, total=False):
    """The conversation's own numbers, by medium; further media are kept."""

    __pydantic_config__ = KEEP  # type: ignore[misc]

    sms: Annotated[Name | int | float, Field(description="The number for text messages.")]
    pstn: Annotated[Name | int | float, Field(description="The number for calls.")]


class Properties(TypedDict, total=False):
    """Settings of a conversation; further keys are kept."""

    __pydantic_config__ = KEEP  # type: ignore[misc]

    ttl: Annotated[
        Annotated[int, Field(ge=0, le=2**53)]
        | Annotated[float, Field(ge=0, lt=2**53)]
        | Annotated[str, StringConstraints(pattern=r"^[0-9]{1,15}(\.[0-9]{1,15})?$")],
        Field(description="Seconds after which the conversation is deleted while nobody is joined; 0 is never."),
    ]
    video: Annotated[bool, Field(description="Kept for clients that set it.")]
    speaking_detection_level: Annotated[int | float, Field(description="Kept for clients that set it.")]


class ConversationBody(Body):
    """A conversation to create, or what to change of one."""

    name: Name = absent("Unique in the application; generated when a new conversation has none.")
    display_name: DisplayName | None = absent("The name to show; need not be unique. `null` clears it.")
    image_url: ImageURL | None = absent("Where a picture for it is. `null` clears it.")
    numbers: Numbers | None = absent("The conversation's own numbers by medium.")
    properties: Properties | None = absent("Settings, such as the time to live.")


class UserBody(Body):
    """A user to create, or what to change of one."""

    name: Name = absent("Unique in the application, and what tokens carry as `sub`; generated when a new user has none.")
    display_name: DisplayName | None = absent("The name to show; need not be unique. `null` clears it.")
    image_url: ImageURL | None = absent("Where a picture of the user is. `null` clears it.")
    channels: Channel | dict[str, Any] | None = absent("How the user can be reached.")


class MemberBody(Body):
    """Who becomes a member, and how. A user that joins without naming anybody joins itself."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": ["user_id"]},
                {"required": ["user_name"]},
                {"required": ["member_id", "action"], "properties": {"action": {"const": "join"}}},
            ]
        }
    )

    action: Literal["invite", "join"] = Field(default="invite", description="Whether the user is invited, or joins at once.")
    user_id: Id = absent("The user; or give `user_name`, or, to accept an invitation, `member_id`.")
    user_name: Id = absent("The user by name.")
    member_id: Id = absent("With `join`: the member whose invitation is accepted.")
    channel: Channel = absent("How the member is connected; an app if absent.")
    media: dict[str, Any] | None = absent("The member's media, such as `audio_settings`.")
    knocking_id: Id | None = absent("The knocker whose leg the member takes over.")
    member_id_inviting: Id | None = absent("The joined member that invites; the caller's own by default.")


class MemberUpdateBody(Body):
    """What an invited member does."""

    action: Literal["invite", "join"] = Field(default="join", description="Only `join` is possible here.")
    channel: Channel = absent("What changes of the member's channel.")


class EventBody(Body):
    """An event to append."""

    type: Annotated[str, Field(min_length=1, max_length=100, description="Such as `text`, `text:seen` or `custom:rating`.")]
    sender: Id | None = Field(
        default=None,
        alias="from",
        description="The joined member that sends it; may be absent when the caller is joined once, or is an admin.",
        json_schema_extra=_without_default,
    )
    to: Id | None = absent("The member it is meant for.")
    body: dict[str, Any] | None = absent("What the event says; its keys depend on the type.")


class ActorBody(Body):
    """On whose behalf something is deleted; older clients send it as a body, newer ones as query parameters."""

    sender: Id | None = Field(default=None, alias="from", description="The acting member.", json_schema_extra=_without_default)
