"""Needs of the kit from outside: a storage that commits, an authenticator that knows who calls, and maybe a broker between processes.

All are protocols: any object with these methods will do. ``StorageContract`` and ``BrokerContract`` in ``conversation_kit.testing``
check the promises that the docstrings make.
"""

from __future__ import annotations

from conversation_kit.ports.authentication import ASGIScope, Authenticator
from conversation_kit.ports.brokers import Broker, BrokerMessage, Buffered, Connected, EphemeralEvent, LogAdvanced
from conversation_kit.ports.storage import Capabilities, Migrates, Migration, Observable, Restorable, Storage
from conversation_kit.ports.transactions import HostTransaction, Publish, TransactionalStorage, Within

__all__ = [
    "ASGIScope",
    "Authenticator",
    "Broker",
    "BrokerMessage",
    "Buffered",
    "Capabilities",
    "Connected",
    "EphemeralEvent",
    "HostTransaction",
    "LogAdvanced",
    "Migrates",
    "Migration",
    "Observable",
    "Publish",
    "Restorable",
    "Storage",
    "TransactionalStorage",
    "Within",
]
