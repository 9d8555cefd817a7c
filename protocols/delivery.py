"""What a durable sender may be told about its messages."""

from __future__ import annotations

from understudy.protocols.base import Message


class DeliveryFailed(Message[None]):
    """A durable message was consumed as a dead letter: its handler failed each time (rule T5).

    Sent back durably to a sender that handles it.

    Attributes:
        actor: the receiver.
        message: the type of the message.
        cause: the id of the message, `<sender>/<seq>`.
        error: of the last try.
    """

    actor: str
    message: str
    cause: str
    error: str
