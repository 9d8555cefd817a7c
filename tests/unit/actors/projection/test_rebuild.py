"""Whatever the cast's history was, and however it was followed: a rebuild from zero gives the same (PJ-1)."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.journal_kit import START_S, as_filed, finished, made_line, write_journal
from understudy.actors.projection.feed import Feed
from understudy.actors.projection.fold import fold_line
from understudy.actors.projection.follower import Follower
from understudy.actors.projection.model import Kept, ReadModel
from understudy.actors.projection.model_dump import dump_of
from understudy.actors.projection.model_file import read_model, write_model
from understudy.protocols import Event, conversation, schedules, tasks
from understudy.protocols.conversation import (
    ConversationMessage,
    CronDueReceived,
    InputReceived,
    NoticePosted,
    PersonaTaken,
    QueueCompacted,
    RunFailed,
    RunGivenUp,
    RunPaused,
    RunStarted,
    RunSucceeded,
    SessionRebuilt,
    TaskDoneReceived,
)
from understudy.protocols.engine import DueSchedule, Persona, UserInput
from understudy.protocols.read_model import Cursor
from understudy.protocols.schedules import (
    FiringsMissed,
    Missed,
    ScheduleAdded,
    ScheduleDisabled,
    ScheduleEnabled,
    ScheduleFired,
    ScheduleIdReserved,
    ScheduleRemoved,
    ScheduleSpec,
)
from understudy.protocols.tasks import (
    FiringSkipped,
    TaskCancelRequested,
    TaskCreated,
    TaskIdReserved,
    TaskRequeued,
    TaskResult,
    TaskRetried,
    TaskSpec,
    TaskStarted,
    TaskSummarized,
)
from understudy.supervision.files import Files
from understudy.supervision.journal.segments import About, publish_about, read_about

if TYPE_CHECKING:
    from pathlib import Path

ASIDE = 0.15
"""So many of a life's events are of the kinds that come now and then."""

KEPT = Kept(tasks=4, task_bytes=1500, messages=5, message_bytes=1500)
"""So little that rows go all the time."""


def pool_events(random: Random, count: int) -> list[Event]:
    """A life of the pool: tasks that wait, run, are tried again, are canceled, end."""
    events: list[Event] = []
    pending: dict[str, int] = {}
    running: dict[str, int] = {}
    for number in range(1, count + 1):
        chance = random.random()
        if random.random() < ASIDE:
            other = f"task-{random.randint(1, number)}"
            skipped = FiringSkipped(
                schedule=f"sched-{random.randint(1, 9)}", nominal_at=START_S, rule="fingerprint", task=other
            )
            summed_up = TaskSummarized(id=other, text="s" * random.randrange(1, 200))
            events.append(random.choice((TaskIdReserved(id=f"task-{number}"), skipped, summed_up)))
            continue
        if running and chance < 0.45:
            task = random.choice(list(running))
            attempt = running.pop(task)
            match random.randrange(5):
                case 0:
                    again = TaskRetried(id=task, attempt=attempt, failures=1, reason="no", retry_at=START_S)
                    events.append(again)
                    pending[task] = attempt
                case 1:
                    events.append(TaskRequeued(id=task, attempt=attempt, reruns=1, reason="down"))
                    pending[task] = attempt
                case _:
                    text = "é" * random.randrange(900)
                    events.append(finished(task, failed=random.random() < 0.3, text=text))
        elif running and chance < 0.5:
            task = random.choice(list(running))
            events.append(TaskCancelRequested(id=task, attempt=1, source="api", reason="enough"))
        elif pending and chance < 0.75:
            task = random.choice(list(pending))
            running[task] = pending.pop(task) + 1
            events.append(TaskStarted(id=task, attempt=running[task]))
        else:
            spec = TaskSpec(title="t" * random.randrange(1, 200), command=("true",))
            events.append(TaskCreated(id=f"task-{number}", spec=spec))
            pending[f"task-{number}"] = 0
    return events


def manager_events(random: Random, count: int) -> list[Event]:
    """A life of the manager: inputs and results, runs that fail, replies now or much later."""
    events: list[Event] = []
    waiting: list[str] = []
    unanswered: list[str] = []
    for number in range(1, count + 1):
        if random.random() < ASIDE:
            due = DueSchedule(
                id=f"sched-1@{number}", schedule="sched-1", nominal_at=START_S, title="tea", text=""
            )
            notice = ConversationMessage(id=f"msg-{number}", role="system", text="n" * random.randrange(300))
            aside: tuple[Event, ...] = (
                CronDueReceived(due=due),
                RunPaused(run=f"run-{number}", attempt=1),
                SessionRebuilt(
                    engine="offline", old="s-1", new=random.choice(("s-2", None)), reason="it is gone"
                ),
                QueueCompacted(queue=random.choice(("inputs", "results")), records=100),
                NoticePosted(messages=(notice,)),
                PersonaTaken(persona=Persona(version=number, profile="tea", persona="kind")),
            )
            events.append(random.choice(aside))
            if isinstance(events[-1], CronDueReceived):
                waiting.append(due.id)
            continue
        if waiting and random.random() < 0.5:
            batch, run = tuple(waiting), f"run-{number}"
            events.append(RunStarted(run=run, attempt=1, batch=batch, engine="offline"))
            if random.random() < 0.2:
                events.append(RunFailed(run=run, attempt=1, error="no model", retry_at=START_S))
                continue
            answered = tuple(name for name in unanswered if random.random() < 0.6)
            unanswered = [name for name in unanswered if name not in answered]
            reply = ConversationMessage(
                id=f"msg-{number}", role="assistant", text="x" * random.randrange(300), in_reply_to=answered
            )
            if random.random() < 0.2:
                events.append(RunGivenUp(run=run, attempt=1, batch=batch, messages=(reply,), error="no"))
            else:
                over = RunSucceeded(run=run, attempt=1, batch=batch, messages=(reply,), actions=())
                events.append(over)
            waiting.clear()
        elif random.random() < 0.6:
            name = f"input-{number}"
            events.append(InputReceived(input=UserInput(id=name, text="y" * random.randrange(300))))
            waiting.append(name)
            unanswered.append(name)
        else:
            task = f"task-{number}"
            result = TaskResult(
                task=task, title="t", status="succeeded", attempt=1, reason="exit code 0", source="worker"
            )
            events.append(TaskDoneReceived(result=result))
            waiting.append(task)
    return events


def cron_events(random: Random, count: int) -> list[Event]:
    """A life of cron: schedules that fire, rest and go."""
    events: list[Event] = []
    there: list[str] = []
    for number in range(1, count + 1):
        if not there or random.random() < 0.3:
            name = f"sched-{number}"
            spec = ScheduleSpec(title="s", cron="0 * * * *", command=("date",))
            events.append(ScheduleAdded(id=name, spec=spec, timezone="UTC", next_at=START_S))
            there.append(name)
            continue
        name = random.choice(there)
        if random.random() < ASIDE:
            missed = Missed(count=number, first_at=START_S, last_at=START_S + 60)
            next_at = random.choice((START_S + 120, None))
            events.append(
                random.choice(
                    (
                        ScheduleIdReserved(id=f"sched-{number}"),
                        FiringsMissed(id=name, missed=missed, next_at=next_at),
                    )
                )
            )
            continue
        match random.randrange(4):
            case 0:
                events.append(ScheduleDisabled(id=name))
            case 1:
                events.append(ScheduleEnabled(id=name, next_at=START_S + number))
            case 2:
                events.append(ScheduleRemoved(id=name))
                there.remove(name)
            case _:
                later = None if random.random() < 0.2 else START_S + number
                fired = ScheduleFired(id=name, nominal_at=START_S, caught_up=False, next_at=later)
                events.append(fired)
    return events


def as_lines(random: Random, events: list[Event]) -> list[bytes]:
    """The journal of a life: each turn has some of its events, or none."""
    lines: list[bytes] = []
    while events:
        size = random.randrange(4)
        lines.append(made_line(len(lines) + 1, *events[:size]))
        events = events[size:]
    return lines


def rebuilt(journals: dict[str, list[bytes]], incarnations: dict[str, int]) -> ReadModel:
    """The model of all lines, one journal after the other."""
    model = ReadModel(KEPT)
    for name, lines in journals.items():
        for seq, line in enumerate(lines, start=1):
            cursor = Cursor(journal=name, incarnation=incarnations[name], seq=seq)
            assert fold_line(model, cursor, line).problem is None
    return model


class Life:
    """A projection through restarts, lost files and repairs."""

    def __init__(self, folder: Path, random: Random) -> None:
        self.incarnations: dict[str, int] = dict.fromkeys(("workers", "manager", "cron"), 1)
        self.durable: dict[str, int] = {}
        self._folder = folder
        self._random = random
        self._epoch = 1
        self._files = 0
        self.feed = Feed(1, KEPT)
        self.follower = self._follower()

    def _follower(self) -> Follower:
        return Follower(self.feed, Files(), self._folder, "projection", self._next_epoch)

    def _next_epoch(self) -> int:
        self._epoch += 1
        return self._epoch

    async def grow(self, journal: str, upto: int, lines: list[bytes]) -> None:
        """More lines are durable; the hint may be lost."""
        write_journal(self._folder / journal, lines)
        self.durable[journal] = upto
        if self._random.random() < 0.7:
            self.follower.lines_are_durable(journal, upto, b"".join(lines))
        if self._random.random() < 0.7:
            await self.follower.catch_up()

    async def start_again(self) -> None:
        """With the newest checkpoint, an older one, one whose file is gone, or after a repair."""
        name = f"model-{self._files}.jsonl"
        if self._random.random() < 0.6:
            self._files += 1
            name = f"model-{self._files}.jsonl"
            write_model(Files(), self._folder / "files", name, dump_of(self.feed.model))
        if self._random.random() < 0.2:
            (self._folder / "files" / name).unlink(missing_ok=True)
        if self._random.random() < 0.3:
            self._repair(self._random.choice(list(self.incarnations)))
        self.feed = Feed(self._next_epoch(), KEPT)
        model = read_model(Files(), self._folder / "files", name, KEPT)
        if model is not None:
            self.feed.model = model
        self.follower = self._follower()
        await self.open_all()

    async def open_all(self) -> None:
        """All actors have opened their journals."""
        for journal, seq in self.durable.items():
            self.follower.journal_is_open(journal, seq)
        await self.follower.catch_up()

    def _repair(self, journal: str) -> None:
        folder = self._folder / journal
        if journal in self.durable:
            about = read_about(Files(), folder)
            self.incarnations[journal] = about.incarnation + 1
            publish_about(Files(), folder, About(incarnation=about.incarnation + 1))


def test_a_life_has_every_kind_of_event() -> None:
    """Else the test below would say nothing about those that it lacks."""
    lives = (pool_events, manager_events, cron_events)
    made = {type(event) for seed in range(30) for life in lives for event in life(Random(seed), 60)}
    there = {
        kind
        for module in (tasks, conversation, schedules)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Event) and kind.__module__ == module.__name__
    }
    assert there - made == set()


@pytest.mark.req("PJ-1")
@pytest.mark.rule("P1")
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.integers(1, 60))
def test_a_rebuild_gives_the_same_bytes_whatever_happened(
    seed: int, size: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Random lives of the cast, followed through restarts from any checkpoint, lost files and repairs."""
    random = Random(seed)
    folder = tmp_path_factory.mktemp("life")
    journals = {
        "workers": as_lines(random, pool_events(random, size)),
        "manager": as_lines(random, manager_events(random, size)),
        "cron": as_lines(random, cron_events(random, size)),
    }
    life = Life(folder, random)
    pieces: list[tuple[str, int, int]] = []
    for name, lines in journals.items():
        cuts = sorted({0, len(lines), *(random.randrange(len(lines) + 1) for _ in range(5))})
        pieces += [(name, start, stop) for start, stop in pairwise(cuts)]
    order = sorted(
        (random.random() + stop / (len(journals[name]) + 1), name, start, stop)
        for name, start, stop in pieces
    )

    async def follow() -> None:
        grown = dict.fromkeys(journals, 0)
        for _, name, _, stop in order:
            if stop <= grown[name]:
                continue
            await life.grow(name, stop, journals[name][grown[name] : stop])
            grown[name] = stop
            if random.random() < 0.4:
                await life.start_again()
        await life.open_all()

    trio.run(follow)
    assert as_filed(life.feed.model) == as_filed(rebuilt(journals, life.incarnations))
    assert len(life.feed.model.tasks.over) <= KEPT.tasks
