"""Understudy: supervised, durable actors for Python, and the agent work system built from them."""

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
