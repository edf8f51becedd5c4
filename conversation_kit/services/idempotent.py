"""Methods that do the same thing once, however often they are asked with the same idempotency key."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import wraps
from hashlib import sha256
from inspect import Parameter, Signature, signature
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from conversation_kit.decisions import results
from conversation_kit.domain.errors import InvalidInput, NotFound, RequestError, key_mismatch
from conversation_kit.domain.events import Event
from conversation_kit.domain.reading import Access
from conversation_kit.domain.rules import is_of_former
from conversation_kit.domain.values.answers import Claim
from conversation_kit.services.context import Service
from conversation_kit.services.idempotency_keys import IdempotencyKey

S = TypeVar("S", bound=Service)
P = ParamSpec("P")
T = TypeVar("T")


def idempotent(method: Callable[Concatenate[S, P], Coroutine[Any, Any, T]]) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
    """Let a method of a service that makes one change heed the idempotency key to which the service is bound.

    The first call with a key keeps its answer, in the transaction of the change. Every other one with the same arguments gets that answer
    again, without hooks, receivers or anything written; one that comes while the first is under way waits for it. What is refused keeps
    nothing, and may be tried again. Raises ``key_mismatch`` for other arguments, and for a new user of the name of who was answered;
    ``key_in_use`` when the first one takes too long; and ``InvalidInput`` for arguments that cannot be written as JSON.
    """
    parameters = signature(method)

    @wraps(method)
    def called(self: S, /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
        if self.key is None:
            return method(self, *args, **kwargs)
        return _once(method, parameters, self, self.key, *args, **kwargs)

    return called


@dataclass(frozen=True, slots=True)
class _Kept(Generic[T]):
    result: T


async def _once(
    method: Callable[Concatenate[S, P], Coroutine[Any, Any, T]],
    parameters: Signature,
    service: S,
    key: IdempotencyKey,
    /,
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    context = service.context
    arguments = _given(parameters, service, *args, **kwargs)
    scope = key.scope or _path(method, parameters, arguments)
    caller = service.principal.user_name
    mark = _digest(scope, key.value, caller)
    claim = Claim(mark, _digest(method.__qualname__, arguments), context.clock() + context.answers_last)
    async with context.under_way.alone(service.application_id, mark):
        kept: _Kept[T] | None = await _kept(service, key, claim)
        if kept is not None:
            return kept.result
        try:
            key.is_replayed = False
            return await method(replace(service, key=None, claim=claim), *args, **kwargs)
        except RequestError:
            # In another process somebody may have been faster with the same key, and that is why it cannot be done any more.
            kept = await _kept(service, key, claim)
            if kept is None:
                raise
            return kept.result


async def _kept(service: Service, key: IdempotencyKey, claim: Claim) -> _Kept[Any] | None:
    """Return the answer that was kept for a claim, if there is one. Raises ``key_mismatch``, and ``Unauthenticated`` for who is nobody."""
    context, application_id = service.context, service.application_id
    storage = await context.storage()
    answer = await storage.get_answer(application_id, claim.mark, context.clock())
    if answer is None:
        return None
    caller = await context.caller(service.principal) if service.principal.user_name is not None else None
    if answer.digest != claim.digest or (caller is not None and is_of_former(caller.created, answer.created)):
        raise key_mismatch()
    result = results.decode(answer.result, application_id)
    if isinstance(result, Event) and result.id is not None:
        with suppress(NotFound):  # or it is gone with its conversation, and its body with it
            event = await storage.get_event(Access(application_id, context.clock()), result.conversation_id, result.id)
            result = replace(event, receipts=())
    key.is_replayed = True
    return _Kept(result)


def _given(parameters: Signature, service: Service, *args: Any, **kwargs: Any) -> Mapping[str, Any]:
    """Return the arguments that are not the defaults anyway, by name: however they are given, they are the same."""
    bound = parameters.bind(service, *args, **kwargs)
    own = list(bound.arguments.items())[1:]
    return {name: value for name, value in own if value != parameters.parameters[name].default}


def _path(method: Callable[..., Any], parameters: Signature, arguments: Mapping[str, Any]) -> str:
    """Return what the method and path of a request would say: the method, and the ids that it is always given."""
    named = [
        str(value)
        for name, value in arguments.items()
        if parameters.parameters[name].kind is not Parameter.KEYWORD_ONLY and name.endswith("_id")
    ]
    return "/".join((method.__qualname__, *named))


def _digest(*parts: Any) -> str:
    """Return what stands for these, in 64 hexadecimal digits. Raises ``InvalidInput`` for what has no JSON."""
    try:
        text = json.dumps(parts, sort_keys=True, default=str)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput({"arguments": f"must be JSON under an idempotency key: {error}"}) from error
    return sha256(text.encode()).hexdigest()
