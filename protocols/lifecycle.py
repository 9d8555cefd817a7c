"""What happens to actors, as events of the system (RT-8), and the status that sums them up."""

from __future__ import annotations

from understudy.protocols.base import Event, Frozen, Message


class LifecycleEvent(Event):
    """Something that happened to the actor `actor` at `time` (seconds since the epoch)."""

    actor: str
    time: float


class ActorStarted(LifecycleEvent):
    """An actor takes messages: for the first time, recovered, or after a restart."""

    actor_class: str
    incarnation: int


class ActorStopped(LifecycleEvent):
    """An actor is gone for good."""

    reason: str


class ActorFailed(LifecycleEvent):
    """A handler, a hook or a background task failed; the supervisor decides what comes next."""

    error: str
    message: str


class ActorRestarting(LifecycleEvent):
    """A supervisor starts the actor anew after `delay_s`."""

    reason: str
    restarts: int
    delay_s: float


class ActorEscalated(LifecycleEvent):
    """A supervisor gave up: its restart intensity was exceeded."""

    reason: str


class TurnDiscarded(LifecycleEvent):
    """A turn failed after an emit; nothing of it left, the state was rebuilt (rule T3)."""

    error: str
    message: str


class ActorHalted(LifecycleEvent):
    """A write failed: nothing leaves the actor until somebody resumes it (rule J5)."""

    error: str
    advice: str


class ActorResumed(LifecycleEvent):
    """A halted actor goes on."""


class ActorBlocked(LifecycleEvent):
    """The actor's journal is damaged (rule J4)."""

    error: str
    advice: str


class TornTailCut(LifecycleEvent):
    """A write that a crash interrupted was cut off at recovery and kept aside (rule J4)."""

    file: str
    offset: int
    size_bytes: int
    kept_in: str


class ClockCameBack(LifecycleEvent):
    """The wall clock was ahead and came back: schedules have fired for times that are yet to come."""

    text: str


class JournalTrimmed(LifecycleEvent):
    """Old lines of the actor's journal were removed, by the settings' limits; it begins at `first_seq` now.

    What they did is in the snapshots (rule J7).
    """

    first_seq: int


class DeadLetter(LifecycleEvent):
    """A message that nobody handled."""

    message: str
    reason: str
    sender: str


class Terminated(Message[None]):
    """Told to who watches an actor, when that has stopped for good (death watch)."""

    actor: str
    reason: str


class ActorStatus(Frozen):
    """One actor as it stands.

    Attributes:
        phase: starting, recovering, running, retrying (a durable message, in place), suspended (failed,
            waiting for its supervisor), halted, blocked, stopping or stopped.
        mailbox: messages that wait.
        sequence: the last turn's number, `watermark` the last durable one; None without a journal.
    """

    name: str
    actor_class: str
    parent: str | None
    phase: str
    mailbox: int
    incarnation: int
    restarts: int
    last_failure: str | None = None
    next_restart: float | None = None
    sequence: int | None = None
    watermark: int | None = None
    problem: str | None = None


class Halt(Frozen):
    """An actor that takes nothing, why, and what to do."""

    actor: str
    error: str
    advice: str


class Problem(Frozen):
    """A stored or configured item that can't be used now. Everything else goes on.

    Attributes:
        kind: what it is: `schedule`, `sink` or `configuration`.
        name: its id or its name.
        reason: why it can't be used.
        remedy: what to do.
    """

    kind: str
    name: str
    reason: str
    remedy: str


class SystemStatus(Frozen):
    """A system as it stands: its actors (parents before children) and what needs a person.

    Attributes:
        given_up: actors at the top that failed too often and are gone.
    """

    home: str | None
    halted: tuple[Halt, ...]
    blocked: tuple[Halt, ...]
    given_up: tuple[Halt, ...] = ()
    dead_letters: int
    actors: tuple[ActorStatus, ...]
