"""Attempts at deliveries: carried out in the background, within their time."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import trio

from understudy.actors.notifier.sinks import NotDelivered
from understudy.actors.notifier.state import AttemptMade
from understudy.protocols.base import described, text_of
from understudy.protocols.errors import ActorStopped
from understudy.supervision.boundary import contained_unless_cancelled
from understudy.supervision.wants import want_of

if TYPE_CHECKING:
    from understudy.actors.notifier.sinks import Sink
    from understudy.protocols.notifications import Delivery
    from understudy.supervision.reference import ActorRef

log = logging.getLogger("understudy.notifier")
ERROR_CHARACTERS = 500


async def carry_out(notifier: ActorRef[Any], sink: Sink, delivery: Delivery, timeout_s: float) -> None:
    """Make the attempt, and tell the notifier how it ended; its token says which it was (rule E3)."""
    error, tries, retry_after_s, want = None, None, None, ""
    with trio.move_on_after(timeout_s) as scope:
        try:
            await sink.deliver(delivery)
        except NotDelivered as failure:
            error, tries, retry_after_s = text_of(failure), failure.tries, failure.retry_after_s
            want = want_of(failure) or ""
        except BaseException as failure:  # noqa: BLE001 - whatever a sink raises is a failed attempt
            error = described(contained_unless_cancelled(failure))
            want = want_of(failure) or ""
    if scope.cancelled_caught:
        error = f"no answer within {timeout_s:g} s"
    made = AttemptMade(
        id=delivery.id,
        attempt=delivery.attempt,
        error=None if error is None else error[:ERROR_CHARACTERS],
        want=want,
        tries=tries,
        retry_after_s=retry_after_s,
    )
    try:
        await notifier.tell_async(made)
    except ActorStopped:
        log.debug("%s ended after the notifier", delivery.id, extra={"action": "delivery_late"})
