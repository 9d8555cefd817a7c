"""The notifier's state, and what it tells itself."""

from __future__ import annotations

import heapq
from itertools import chain

from pydantic import BaseModel, Field

from understudy.protocols.base import Message
from understudy.protocols.notifications import (
    DeliveryList,
    DeliveryStatus,
    DeliveryView,
    ListDeliveries,
    Notification,
)


class Told(BaseModel):
    """A notification that deliveries still need.

    Attributes:
        at: when it was taken, in seconds since the epoch.
        users: deliveries of it that are queued or dead.
    """

    notification: Notification
    at: float
    users: int


class OpenDelivery(BaseModel):
    """A delivery that is not made.

    Attributes:
        about: the notification's id.
        attempts: started so far; with the id the token of the running one.
        before: those of them that do not count: it was revived after them, or the machine lacked something.
        due_at: not tried before, in seconds since the epoch.
    """

    id: str
    number: int
    sink: str
    about: str
    status: DeliveryStatus = "queued"
    attempts: int = 0
    before: int = 0
    queued_at: float
    due_at: float
    error: str = ""

    def view(self, notification: Notification) -> DeliveryView:
        """As others see it."""
        return DeliveryView(
            id=self.id,
            sink=self.sink,
            status=self.status,
            about=self.about,
            kind=notification.kind,
            session=notification.session,
            attempts=self.attempts,
            queued_at=self.queued_at,
            retry_at=self.due_at if self.status == "queued" else None,
            error=self.error,
        )


class NotifierState(BaseModel):
    """What still has to be told, and what must not be told twice.

    Attributes:
        known: ids of notifications, oldest first, that were taken; `count` of all there ever were.
        told: the notifications of `open` and `dead`, by id.
        open: deliveries that are queued or running, by id, and `dead` those that were given up, oldest
            first.
        next_delivery: number of the next one.
    """

    known: dict[str, None] = Field(default_factory=dict)
    count: int = 0
    told: dict[str, Told] = Field(default_factory=dict)
    open: dict[str, OpenDelivery] = Field(default_factory=dict)
    dead: dict[str, OpenDelivery] = Field(default_factory=dict)
    next_delivery: int = 1

    def page(self, wanted: ListDeliveries) -> DeliveryList:
        """The newest deliveries that fit, as many as wanted."""
        found = [one for one in chain(self.open.values(), self.dead.values()) if _fits(one, wanted)]
        page = heapq.nlargest(wanted.limit, found, key=lambda delivery: delivery.number)
        return DeliveryList(
            deliveries=tuple(delivery.view(self.told[delivery.about].notification) for delivery in page),
            queued=len(self.open),
            dead=len(self.dead),
            next=page[-1].number if len(page) < len(found) else None,
        )


def _fits(delivery: OpenDelivery, wanted: ListDeliveries) -> bool:
    return (
        wanted.status in (None, delivery.status)
        and wanted.sink in (None, delivery.sink)
        and (wanted.before is None or delivery.number < wanted.before)
    )


class AttemptMade(Message[None]):
    """To the notifier from an attempt's background task.

    Attributes:
        error: why it failed; None when the sink has taken the delivery.
        tries, retry_after_s: see `NotDelivered`.
        want: what the machine lacked for it (file descriptors, memory, threads, processes); else empty.
    """

    id: str
    attempt: int
    error: str | None
    want: str = ""
    tries: int | None = None
    retry_after_s: float | None = None


class DeliveriesDue(Message[None]):
    """From the notifier's one timer: the earliest of the deliveries that wait is due."""
