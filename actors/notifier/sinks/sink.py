"""What carries a delivery out: the one interface behind which webhooks, files and callbacks stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from understudy.protocols.notifications import Delivery


class NotDelivered(Exception):
    """The attempt failed; the text says why, and holds no secret.

    Attributes:
        tries: attempts in all that are worth making when they fail like this; None for what the sink's
            configuration says.
        retry_after_s: what the receiver wishes for, in seconds.
    """

    def __init__(self, text: str, *, tries: int | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(text)
        self.tries = tries
        self.retry_after_s = retry_after_s


class Sink(Protocol):
    """Tells one receiver.

    `deliver` returns when the receiver has taken the delivery. Any exception is a failed attempt, and so
    is taking longer than the sink's `timeout_s`: it is cancelled then. It is called again, with the same
    `delivery.id` and a higher `attempt`, after a failure and after a crash, also when the receiver had
    taken it before that was recorded. It knows nothing of journals.
    """

    async def deliver(self, delivery: Delivery) -> None:
        """Make one attempt."""
        ...
