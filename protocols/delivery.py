"""What a durable sender may be told about its messages."""

from __future__ import annotations

from understudy.protocols.base import Message


class DeliveryFailed(Message[None]):
    """A durable message was consumed without having done anything (rule T5).

    Its handler refused it, or failed each time, so that it became a dead letter. Sent back durably to a
    sender that handles this.

    Attributes:
        actor: the receiver.
        message: the type of the message.
        body: the message itself, as JSON.
        cause: the id of the message, `<sender>/<seq>`.
        error: the refusal, or the error of the last try.
        refused: whether it was refused.
    """

    actor: str
    message: str
    cause: str
    error: str
    body: str = ""
    refused: bool = False
