"""Understudy: supervised, durable actors for Python, and the agent work system built from them."""

from understudy.protocols import Event, Frozen, Message
from understudy.protocols.errors import (
    ActorBlocked,
    ActorHalted,
    ActorStopped,
    AskCycle,
    AskTimeout,
    HomeError,
    HomeInUse,
    HomeNotWritable,
    InvalidMessage,
    JournalDamaged,
    KeyReused,
    MailboxFull,
    NameTaken,
    NewerVersion,
    NotFound,
    NotPersistent,
    OutboxFull,
    OutcomeUnknown,
    Refused,
    ReplyNotEncodable,
    Stopping,
    TurnOver,
    UnderstudyError,
    UnknownActor,
    UnknownMessage,
    WouldDeadlock,
)
from understudy.protocols.delivery import DeliveryFailed
from understudy.protocols.lifecycle import Terminated
from understudy.supervision.actor import Actor
from understudy.supervision.futures import Future
from understudy.supervision.persistent import PersistentActor
from understudy.supervision.reference import ActorRef
from understudy.supervision.settings import Settings
from understudy.supervision.system import ActorSystem

__all__ = [
    "Actor",
    "ActorBlocked",
    "ActorHalted",
    "ActorRef",
    "ActorStopped",
    "ActorSystem",
    "AskCycle",
    "AskTimeout",
    "DeliveryFailed",
    "Event",
    "Frozen",
    "Future",
    "HomeError",
    "HomeInUse",
    "HomeNotWritable",
    "InvalidMessage",
    "JournalDamaged",
    "KeyReused",
    "MailboxFull",
    "Message",
    "NameTaken",
    "NewerVersion",
    "NotFound",
    "NotPersistent",
    "OutboxFull",
    "OutcomeUnknown",
    "PersistentActor",
    "Refused",
    "ReplyNotEncodable",
    "Settings",
    "Stopping",
    "Terminated",
    "TurnOver",
    "UnderstudyError",
    "UnknownActor",
    "UnknownMessage",
    "WouldDeadlock",
]
