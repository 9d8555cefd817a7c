"""What the journals say, read line by line with the jsonlines package: the demo's evidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import jsonlines
from pydantic import BaseModel, ConfigDict

from understudy.supervision.journal.segments import list_segments, read_about, resolve

if TYPE_CHECKING:
    from understudy.supervision.home import Home


class Entry(BaseModel):
    """An event of a line."""

    model_config = ConfigDict(extra="ignore")

    type: str
    data: dict[str, object]


class Turn(BaseModel):
    """A line, as far as the demo needs it."""

    model_config = ConfigDict(extra="ignore")

    seq: int
    ts: int
    events: list[Entry]


class _Input(BaseModel):
    id: str
    text: str


class _Received(BaseModel):
    input: _Input


class Reply(BaseModel):
    """A reply as the manager's journal has it."""

    model_config = ConfigDict(extra="ignore")

    id: str
    text: str
    in_reply_to: tuple[str, ...] = ()


class _Run(BaseModel):
    model_config = ConfigDict(extra="ignore")

    messages: tuple[Reply, ...]


class Spec(BaseModel):
    """What a task or schedule was made from."""

    model_config = ConfigDict(extra="ignore")

    title: str = ""
    origin: str | None = None
    schedule: str | None = None
    nominal_at: float | None = None


class _Task(BaseModel):
    model_config = ConfigDict(extra="ignore")

    id: str
    attempt: int = 0
    status: str = ""
    spec: Spec = Spec()


class _Schedule(BaseModel):
    model_config = ConfigDict(extra="ignore")

    id: str
    nominal_at: float = 0.0
    spec: Spec = Spec()


@dataclass
class TaskStory:
    """A task's life, counted from its events.

    Attributes:
        attempts: the attempt numbers that were started, in order.
        interrupted: how many attempts the runtime's fall cut off.
        ends: the final states that were written; exactly one in a sound journal.
    """

    spec: Spec
    created: int = 0
    attempts: list[int] = field(default_factory=list[int])
    interrupted: int = 0
    retried: int = 0
    ends: list[str] = field(default_factory=list[str])


@dataclass
class Ledger:
    """All that counts, read from one home's journals.

    Attributes:
        received: how often each input is in the manager's journal, by id.
        texts: what each said.
        replies: the final replies to each input.
        firings: how often each (schedule, nominal time) fired.
        lateness: by how many seconds each firing came after its nominal time.
    """

    turns: Counter[str] = field(default_factory=Counter[str])
    received: Counter[str] = field(default_factory=Counter[str])
    texts: dict[str, str] = field(default_factory=dict[str, str])
    replies: dict[str, list[Reply]] = field(default_factory=dict[str, list[Reply]])
    tasks: dict[str, TaskStory] = field(default_factory=dict[str, TaskStory])
    schedules: dict[str, str | None] = field(default_factory=dict[str, str | None])
    firings: Counter[tuple[str, float]] = field(default_factory=Counter[tuple[str, float]])
    lateness: dict[tuple[str, float], float] = field(default_factory=dict[tuple[str, float], float])

    def in_flight(self) -> list[str]:
        """Tasks that were started and have not ended."""
        return [name for name, story in self.tasks.items() if story.attempts and not story.ends]


def read_ledger(home: Home) -> Ledger:
    """Read the journals of the manager, the workers and cron from their first line to their last."""
    ledger = Ledger()
    for name, take in (("manager", _take_conversation), ("workers", _take_task), ("cron", _take_schedule)):
        for turn in turns_of(home, name):
            ledger.turns[name] += 1
            for entry in turn.events:
                take(ledger, turn, entry)
    return ledger


def turns_of(home: Home, journal: str) -> Iterator[Turn]:
    """A journal's lines. What a kill left half-written at the end is no turn; jsonlines would stop there."""
    folder = home.journals / journal
    for part in resolve(list_segments(home.files, folder), read_about(home.files, folder).gaps):
        data = part.segment.path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1].decode().splitlines()
        with jsonlines.Reader(whole) as reader:
            for found in cast("Iterator[dict[str, object]]", reader.iter(type=dict)):
                turn = Turn.model_validate(found)
                if part.end_seq is None or turn.seq < part.end_seq:
                    yield turn


def _take_conversation(ledger: Ledger, _: Turn, entry: Entry) -> None:
    if entry.type == "InputReceived":
        received = _Received.model_validate(entry.data).input
        ledger.received[received.id] += 1
        ledger.texts[received.id] = received.text
    elif entry.type in ("RunSucceeded", "RunGivenUp"):
        for message in _Run.model_validate(entry.data).messages:
            for answered in message.in_reply_to:
                ledger.replies.setdefault(answered, []).append(message)


def _take_task(ledger: Ledger, _: Turn, entry: Entry) -> None:
    if not entry.type.startswith("Task") or entry.type == "TaskIdReserved":
        return
    event = _Task.model_validate(entry.data)
    if entry.type == "TaskCreated":
        ledger.tasks.setdefault(event.id, TaskStory(event.spec)).created += 1
        return
    story = ledger.tasks[event.id]
    if entry.type == "TaskStarted":
        story.attempts.append(event.attempt)
    elif entry.type == "TaskRequeued":
        story.interrupted += 1
    elif entry.type == "TaskRetried":
        story.retried += 1
    elif entry.type == "TaskFinished":
        story.ends.append(event.status)


def _take_schedule(ledger: Ledger, turn: Turn, entry: Entry) -> None:
    if entry.type == "ScheduleAdded":
        added = _Schedule.model_validate(entry.data)
        ledger.schedules[added.id] = added.spec.origin
    elif entry.type == "ScheduleFired":
        fired = _Schedule.model_validate(entry.data)
        ledger.firings[fired.id, fired.nominal_at] += 1
        ledger.lateness[fired.id, fired.nominal_at] = turn.ts / 1e6 - fired.nominal_at
