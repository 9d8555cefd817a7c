"""The mailbox and what lies in it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from understudy.supervision.futures import Reply

# message, reply, durable sender ("" = none), its number n (0 = none), cause, what only an ask carries.
# A plain tuple: building one costs 30 ns, a NamedTuple ten times that, and each hop builds one.
Envelope: TypeAlias = "tuple[object, Reply | None, str, int, bytes, Asked | None]"


class Asked:
    """What an envelope carries beside the message when more than a bare reply is asked for.

    Attributes:
        key: the caller's idempotency key (rule D3).
        chain: names of the actors whose turns wait for this reply, outermost first (rule T6).
    """

    __slots__ = ("chain", "key")

    def __init__(self, key: str | None, chain: tuple[str, ...]) -> None:
        self.key = key
        self.chain = chain


class Mailbox(deque[Envelope]):
    """A deque with the face of a pykka inbox.

    Attributes:
        foreign: envelopes for this mailbox that are still in the scheduler's intake; they count
            against the bound (rule S1).
    """

    __slots__ = ("foreign",)

    def __init__(self) -> None:
        super().__init__()
        self.foreign = 0

    put = deque[Envelope].append
    get = deque[Envelope].popleft

    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self
