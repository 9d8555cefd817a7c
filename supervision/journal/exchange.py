"""What journals say of each other: each send that a receiver has consumed is in its sender's (rules D1, D4).

No file of a journal shows that whole lines are missing at its end. Its receivers do: they have consumed
numbers that it does not hold. Only what a recovery would read is read: the newest snapshot, and the lines
behind it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, NotRequired

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from understudy.protocols.errors import JournalDamaged
from understudy.supervision.journal.replay import Replay
from understudy.supervision.journal.segments import journal_names, read_about, unless_trimmed
from understudy.supervision.journal.snapshots import Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from understudy.supervision.files import Files


class _Send(TypedDict):
    to: str
    n: int


_Line = TypedDict("_Line", {"from": str, "n": int, "inc": NotRequired[int], "sends": list[_Send]})


class _Body(TypedDict):
    last: dict[str, int]
    outbox: list[tuple[str, int, int, list[Any]]]


_LINES = TypeAdapter(list[_Line])
_BODY = TypeAdapter(_Body)


class Claim(NamedTuple):
    """What receivers know of a sender.

    Attributes:
        lost: of each receiver that has consumed what the sender's journal does not hold, a sentence.
        incarnation: the newest of the sender's numbers that a receiver has consumed (rule D4).
    """

    lost: tuple[str, ...]
    incarnation: int


NO_CLAIM = Claim((), 1)


@dataclass
class _Numbers:
    """Of one journal: the last number consumed of each stream, and sent to each receiver."""

    incarnation: int = 1
    consumed: dict[str, int] = field(default_factory=dict[str, int])
    sent: dict[str, int] = field(default_factory=dict[str, int])
    whole: bool = True

    def lacks(self, receiver: str, incarnation: int, n: int) -> bool:
        """Whether send `n` of that incarnation to `receiver` should be there, and is not."""
        return self.whole and incarnation == self.incarnation and n > self.sent.get(receiver, 0)


def lost_text(receiver: str, consumed: int, sent: int) -> str:
    """What is said of a sender whose journal lacks sends that `receiver` has consumed."""
    return (
        f"expected number {consumed} to {receiver}, which that one has consumed, "
        f"got only {sent}: lines are missing"
    )


def claims_on(files: Files, journals: Path) -> dict[str, Claim]:
    """For each journal that others in the folder have consumed sends of: what they know of it.

    Takes no lock and changes nothing, while an owner may be writing: a sender's line is durable before
    its receiver's is written, so a sender that seems to lack something is read once more. Of a damaged
    journal nothing is said, `verify_journal` does; what it has consumed counts up to the damage.

    Raises:
        OSError: a file can't be read.
    """
    numbers = {name: _numbers(files, journals / name) for name in journal_names(files, journals)}
    senders = {_sender_of(stream)[0] for its in numbers.values() for stream in its.consumed}
    numbers |= {
        name: _Numbers() for name in senders - set(numbers)
    }  # a folder that is gone has lost all of it
    claims: dict[str, Claim] = {}
    for receiver, its in numbers.items():
        for stream, consumed in its.consumed.items():
            sender, incarnation = _sender_of(stream)
            known = claims.get(sender, NO_CLAIM)
            lost = known.lost
            if numbers[sender].lacks(receiver, incarnation, consumed):
                numbers[sender] = again = _numbers(files, journals / sender)
                if again.lacks(receiver, incarnation, consumed):
                    lost = (*lost, lost_text(receiver, consumed, again.sent.get(receiver, 0)))
            claims[sender] = Claim(lost, max(known.incarnation, incarnation))
    return claims


def _numbers(files: Files, folder: Path) -> _Numbers:
    return unless_trimmed(files, folder, partial(_read_numbers, files, folder))


def _read_numbers(files: Files, folder: Path) -> _Numbers:
    found = _Numbers()
    try:
        found.incarnation = read_about(files, folder).incarnation
        for item in Replay(files, folder).run():
            if isinstance(item, Snapshot):
                body = _BODY.validate_json(item.body)
                found.consumed.update(body["last"])
                for to, incarnation, following, _ in body["outbox"]:
                    if incarnation == found.incarnation:
                        found.sent[to] = following - 1
            else:
                _note(found, _LINES.validate_json(b"[" + b",".join(item.lines) + b"]"))
    except (JournalDamaged, ValidationError):
        found.whole = False
    return found


def _note(found: _Numbers, lines: Iterable[_Line]) -> None:
    for line in lines:
        if line["n"]:
            found.consumed[line["from"]] = line["n"]
        if line["sends"] and line.get("inc", 1) == found.incarnation:
            found.sent.update({send["to"]: send["n"] for send in line["sends"] if send["n"]})


def _sender_of(stream: str) -> tuple[str, int]:
    """The sender's name and its incarnation in a stream's name: `name`, or `name~2`."""
    name, _, incarnation = stream.partition("~")
    return name, int(incarnation) if incarnation.isdigit() else 1
