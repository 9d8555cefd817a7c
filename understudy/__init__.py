"""Understudy: supervised, durable actors for Python, and the agent work system built from them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from understudy.protocols import Event, Frozen, Message
    from understudy.protocols.delivery import DeliveryFailed
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
        InvalidName,
        JournalDamaged,
        KeyReused,
        MailboxFull,
        NameTaken,
        NewerVersion,
        NotEncodable,
        NotFound,
        NotPersistent,
        OutboxFull,
        OutcomeUnknown,
        RecordNotUnderstood,
        Refused,
        ReplyNotEncodable,
        SeqNotKept,
        Stopping,
        TurnOver,
        UnderstudyError,
        UnknownActor,
        UnknownMessage,
        UserCodeExit,
        WouldDeadlock,
    )
    from understudy.protocols.lifecycle import Terminated
    from understudy.supervision.actor import Actor
    from understudy.supervision.backoff import Backoff
    from understudy.supervision.child_spec import ChildSpec
    from understudy.supervision.clock import Clock
    from understudy.supervision.futures import Future
    from understudy.supervision.persistent import PersistentActor
    from understudy.supervision.reference import ActorRef
    from understudy.supervision.settings import Settings
    from understudy.supervision.state_diff import Change, diff_states
    from understudy.supervision.strategy import Restart, Strategy
    from understudy.supervision.supervisor import Supervisor
    from understudy.supervision.system import ActorSystem
    from understudy.supervision.time_travel import replay_state

__all__ = [
    "Actor",
    "ActorBlocked",
    "ActorHalted",
    "ActorRef",
    "ActorStopped",
    "ActorSystem",
    "AskCycle",
    "AskTimeout",
    "Backoff",
    "Change",
    "ChildSpec",
    "Clock",
    "DeliveryFailed",
    "Event",
    "Frozen",
    "Future",
    "HomeError",
    "HomeInUse",
    "HomeNotWritable",
    "InvalidMessage",
    "InvalidName",
    "JournalDamaged",
    "KeyReused",
    "MailboxFull",
    "Message",
    "NameTaken",
    "NewerVersion",
    "NotEncodable",
    "NotFound",
    "NotPersistent",
    "OutboxFull",
    "OutcomeUnknown",
    "PersistentActor",
    "RecordNotUnderstood",
    "Refused",
    "ReplyNotEncodable",
    "Restart",
    "SeqNotKept",
    "Settings",
    "Stopping",
    "Strategy",
    "Supervisor",
    "Terminated",
    "TurnOver",
    "UnderstudyError",
    "UnknownActor",
    "UnknownMessage",
    "UserCodeExit",
    "WouldDeadlock",
    "diff_states",
    "replay_state",
]

_MODULES = {
    "protocols": (
        "Event",
        "Frozen",
        "Message",
    ),
    "protocols.delivery": ("DeliveryFailed",),
    "protocols.errors": (
        "ActorBlocked",
        "ActorHalted",
        "ActorStopped",
        "AskCycle",
        "AskTimeout",
        "HomeError",
        "HomeInUse",
        "HomeNotWritable",
        "InvalidMessage",
        "InvalidName",
        "JournalDamaged",
        "KeyReused",
        "MailboxFull",
        "NameTaken",
        "NewerVersion",
        "NotEncodable",
        "NotFound",
        "NotPersistent",
        "OutboxFull",
        "OutcomeUnknown",
        "RecordNotUnderstood",
        "Refused",
        "ReplyNotEncodable",
        "SeqNotKept",
        "Stopping",
        "TurnOver",
        "UnderstudyError",
        "UnknownActor",
        "UnknownMessage",
        "UserCodeExit",
        "WouldDeadlock",
    ),
    "protocols.lifecycle": ("Terminated",),
    "supervision.actor": ("Actor",),
    "supervision.backoff": ("Backoff",),
    "supervision.child_spec": ("ChildSpec",),
    "supervision.clock": ("Clock",),
    "supervision.futures": ("Future",),
    "supervision.persistent": ("PersistentActor",),
    "supervision.reference": ("ActorRef",),
    "supervision.settings": ("Settings",),
    "supervision.state_diff": (
        "Change",
        "diff_states",
    ),
    "supervision.strategy": (
        "Restart",
        "Strategy",
    ),
    "supervision.supervisor": ("Supervisor",),
    "supervision.system": ("ActorSystem",),
    "supervision.time_travel": ("replay_state",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    """Import a public name at its first use, so that a program that needs few of them starts fast."""
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
