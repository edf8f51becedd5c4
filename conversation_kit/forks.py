"""Forks: a process that was forked off another one begins anew with what belongs to one process alone.

Servers (``gunicorn --preload``), task queues and ``multiprocessing`` fork a process in which a kit may have been used. Connections,
threads, locks that somebody holds, and names that tell processes apart are the parent's then, and none of them is the child's to use.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from itertools import count
from typing import Any, TypeVar

T = TypeVar("T")

_numbers = count()
_before: dict[int, tuple[weakref.ref[Any], Callable[[Any], None]]] = {}
_in_parent: dict[int, tuple[weakref.ref[Any], Callable[[Any], None]]] = {}
_in_child: dict[int, tuple[weakref.ref[Any], Callable[[Any], None]]] = {}
_inherited: list[object] = []


def watch(
    owner: T,
    *,
    in_child: Callable[[T], None],
    before: Callable[[T], None] | None = None,
    in_parent: Callable[[T], None] | None = None,
) -> None:
    """Call the functions with ``owner`` around each fork of this process, for as long as ``owner`` lives.

    They run in the thread that forks: ``before`` and ``in_parent`` in this process, ``in_child`` in the new one, where no other thread is.
    The child must not wait for locks, and must not let the garbage collector close what is the parent's: see ``keep``.
    """
    number = next(_numbers)
    for registry, function in ((_before, before), (_in_parent, in_parent), (_in_child, in_child)):
        if function is not None:
            registry[number] = weakref.ref(owner, lambda _, registry=registry: registry.pop(number, None)), function  # type: ignore[misc]


def keep(inherited: object) -> None:
    """Keep what a child has from its parent until the process ends, so that nothing closes it."""
    _inherited.append(inherited)


def lock() -> threading.Lock:
    """Return a lock that nobody holds in a child, whoever held it when the parent forked. For state that is good at any moment."""
    made = threading.Lock()
    watch(made, in_child=_free)
    return made


def _free(lock: Any) -> None:
    lock._at_fork_reinit()  # what the locks of logging and of threading itself are freed with


def _tell(registry: dict[int, tuple[weakref.ref[Any], Callable[[Any], None]]]) -> None:
    for reference, function in tuple(registry.values()):
        owner = reference()
        if owner is not None:
            function(owner)


if hasattr(os, "register_at_fork"):  # nobody forks on Windows
    os.register_at_fork(before=lambda: _tell(_before), after_in_parent=lambda: _tell(_in_parent), after_in_child=lambda: _tell(_in_child))
