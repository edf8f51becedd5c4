"""Needs of the kit from outside: a storage, an authenticator, and maybe a broker and a meter between processes.

All are protocols: any object with these methods will do. ``StorageContract``, ``BrokerContract`` and ``MeterContract`` in
``conversation_kit.testing`` check the promises that the docstrings make.
"""

from __future__ import annotations

from conversation_kit.ports.authentication import ASGIScope, Authenticator
from conversation_kit.ports.brokers import Broker, BrokerMessage, Buffered, Connected, EphemeralEvent, LogAdvanced
from conversation_kit.ports.metering import Meter, Reading, Taking
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
    "Meter",
    "Migrates",
    "Migration",
    "Observable",
    "Publish",
    "Reading",
    "Restorable",
    "Storage",
    "Taking",
    "TransactionalStorage",
    "Within",
]
