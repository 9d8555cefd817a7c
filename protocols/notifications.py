"""Notifications: how the end of a task, or anything else that is to be told, finds its way out.

A notification goes to the session that owns it, exactly once, and to each sink that wants it, as a
*delivery*: a durable fact for each pair of notification and sink, `queued`, tried, and in the end made
or a dead letter. External receivers get it at least once, each time under the same id.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Literal

from pydantic import Field

from understudy.protocols.base import Event, Frozen, Message
from understudy.protocols.tasks import MAIN_SESSION, TaskResult, TaskStatus

TASK_DONE = "task_done"
"""The kind of notification that tells how a task ended."""


class Notification(Frozen):
    """Something that is to be told.

    Attributes:
        id: of the fact, such as `task-7`: one that comes twice is told once.
        kind: what it is about; receivers get it as `type`.
        session: who owns it.
        text: for people.
        result: how the task ended, for `task_done`.
    """

    id: str = Field(min_length=1, max_length=200)
    kind: str = Field(min_length=1, max_length=100, pattern=r"^[a-z][a-z0-9_.]*$")
    session: str = MAIN_SESSION
    text: str = Field(default="", max_length=10_000)
    result: TaskResult | None = None


class Delivery(Frozen):
    """One attempt at telling one sink: what a sink gets to deliver.

    Attributes:
        id: the same in every repetition: receivers drop what they have seen by it.
        attempt: from 1; higher ones are repetitions.
        at: when the notification was taken, in seconds since the epoch; the same in every repetition.
    """

    id: str
    sink: str
    attempt: int
    at: float
    notification: Notification

    def body(self) -> bytes:
        """The JSON object that receivers get, without a newline; the same bytes in every repetition.

        `{"id", "type", "timestamp", "data"}`; data of `task_done` is the `TaskResult`.
        """
        told = self.notification
        data = told.model_dump(mode="json", include={"id", "session", "text"})
        if told.result is not None:
            data = told.result.model_dump(mode="json")
        at = datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return json.dumps({"id": self.id, "type": told.kind, "timestamp": at, "data": data}).encode()


class TaskDone(Message[None]):
    """From the pool to the notifier, durably, for each task that reaches a final state."""

    result: TaskResult


class Notify(Message[None]):
    """Have the sinks that want it told of something else than a task's end."""

    notification: Notification


DeliveryStatus = Literal["queued", "running", "dead"]


class DeliveryView(Frozen):
    """A delivery that is not made: `queued`, `running`, or `dead` (a dead letter).

    Attributes:
        about: the id of the notification, `kind` and `session` are its.
        attempts: how many were started.
        queued_at: when it was queued, or revived, in seconds since the epoch.
        retry_at: when a queued one is tried (next).
        error: why the last attempt failed, or why it is a dead letter.
    """

    id: str
    sink: str
    status: DeliveryStatus
    about: str
    kind: str
    session: str
    attempts: int
    queued_at: float
    retry_at: float | None = None
    error: str = ""


class DeliveryList(Frozen):
    """Deliveries, newest first; `queued` (with the running ones) and `dead` count all there are.

    Attributes:
        next: the `before` of the page that follows; None on the last.
    """

    deliveries: tuple[DeliveryView, ...]
    queued: int
    dead: int
    next: int | None = None


class ListDeliveries(Message[DeliveryList]):
    """Reads the deliveries that are not made; only those of a `status` or a `sink` where given.

    Attributes:
        before: only those with a lower number (N of `dlv-N-…`).
    """

    status: DeliveryStatus | None = None
    sink: str | None = None
    limit: int = Field(default=50, ge=1, le=1000)
    before: int | None = None


class DeliveriesAccepted(Frozen):
    """These are tried again at once."""

    ids: tuple[str, ...]


class RetryDeliveries(Message[DeliveriesAccepted]):
    """Try deliveries again now, dead letters and queued ones, with as many attempts as a new one.

    Attributes:
        ids: which; None for all dead letters (of `sink`, when given).

    Raises (to who asks): `NotFound` for an id that is neither queued nor dead; `Refused` when its sink is
    not configured (any more).
    """

    ids: tuple[str, ...] | None = Field(default=None, max_length=10_000)
    sink: str | None = None


class TaskDoneSent(Event):
    """The notifier's journal: the result is on its way to `receiver`, the actor that keeps the session.

    The send is part of the same line, so it arrives there exactly once.
    """

    task: str
    attempt: int
    status: TaskStatus
    session: str
    receiver: str


class NewDelivery(Frozen):
    """A delivery as it is queued: its id (`dlv-N-…`) and its sink."""

    id: str
    sink: str


class DeliveriesQueued(Event):
    """The notification is to be told to these sinks."""

    notification: Notification
    deliveries: tuple[NewDelivery, ...]


class DeliveryStarted(Event):
    """An attempt is made. Attempts count from 1; with the delivery they make the token (rule E3)."""

    id: str
    sink: str
    attempt: int


class DeliveryMade(Event):
    """The sink has taken it; nothing follows."""

    id: str
    sink: str
    attempt: int


class DeliveryRetried(Event):
    """The attempt failed, or the runtime went down under it: tried again at `retry_at` (epoch seconds).

    `want` is what the machine lacked for it, such as file descriptors: that attempt does not count.
    """

    id: str
    sink: str
    attempt: int
    error: str
    retry_at: float
    want: str = ""


class DeliveryGivenUp(Event):
    """It is a dead letter: kept, listed, and tried again when somebody says so."""

    id: str
    sink: str
    attempt: int
    reason: str


class DeliveryRevived(Event):
    """Somebody wants it tried again now: due at once, with as many attempts as a new one."""

    id: str
    sink: str
