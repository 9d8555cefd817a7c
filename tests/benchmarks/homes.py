"""Homes with a past: journals of many finished tasks, as the cast would have written them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import trio

from understudy.actors.cast import CastConfig, start_cast
from understudy.actors.projection import ProjectionActor, wait_until_ready
from understudy.protocols.conversation import (
    ConversationMessage,
    RunStarted,
    RunSucceeded,
    TaskDoneReceived,
    WakeTaskDone,
)
from understudy.protocols.notifications import TaskDone, TaskDoneSent
from understudy.protocols.tasks import (
    CreateTask,
    Output,
    TaskCreated,
    TaskFinished,
    TaskResult,
    TaskSpec,
    TaskStarted,
)
from understudy.supervision.journal.line import seal
from understudy.supervision.journal.segments import segment_path
from understudy.supervision.system import ActorSystem

if TYPE_CHECKING:
    from pathlib import Path

    from understudy.protocols import Event, Message

SEGMENT_BYTES = 64 << 20
SETTLE_S = 600.0
_LINE = b'{"seq":%d,"ts":%d,"cause":"%b","from":"%b","n":%d,"mark":%d,"events":[%b],"sends":[%b]'


def make_home(path: Path, finished: int = 100_000) -> None:
    """Write a home of `finished` tasks that are over, told and answered. Blocks; 100,000 take a minute.

    The lines are those of the cast's turns, by its own events. Then the cast runs once on them, so that
    the home has the snapshots and the checkpoint that one which had grown would have.
    """
    _write_journals(path / "state" / "journals", finished)
    trio.run(_settle, path)


def _write_journals(folder: Path, finished: int) -> None:
    start_us = int(time.time() * 1e6) - finished * 1000
    pool, notifier, manager = (_Writer(folder / name) for name in ("workers", "notifier", "manager"))
    for number in range(1, finished + 1):
        now = start_us + number * 1000
        created, ended, result = _task(number)
        sent, wake = TaskDone(result=result), WakeTaskDone(result=result)
        told = TaskDoneSent(
            task=result.task, attempt=1, status=result.status, session=result.session, receiver="manager"
        )
        run, batch = f"run-{number}", (result.task,)
        reply = ConversationMessage(
            id=f"msg-{number}", role="assistant", text=f"{result.title}: done", task=result.task
        )
        pool.line(now, (created, TaskStarted(id=result.task, attempt=1)))
        pool.line(now, (ended,), send=_send("notifier", number, sent))
        notifier.line(now, (told,), ("workers", number), _send("manager", number, wake))
        begun = RunStarted(run=run, attempt=1, batch=batch, engine="offline")
        manager.line(now, (TaskDoneReceived(result=result), begun), ("notifier", number))
        manager.line(now, (RunSucceeded(run=run, attempt=1, batch=batch, messages=(reply,), actions=()),))
    for writer in (pool, notifier, manager):
        writer.flush()


def _task(number: int) -> tuple[TaskCreated, TaskFinished, TaskResult]:
    task, title = f"task-{number}", f"say how it is, for the {number}th time"
    command = ("sh", "-c", f"uptime; df -h / | tail -1; echo {number}")
    text = f" 22:08:17 up 15 min,  load average: 1.84, 1.16, 0.67\noverlay 100G 40G 60G 40% /\n{number}\n"
    output = Output(text=text, total_bytes=len(text))
    created = TaskCreated(id=task, spec=TaskSpec(title=title, command=command))
    ended = TaskFinished(
        id=task,
        attempt=1,
        status="succeeded",
        reason="exit code 0",
        source="worker",
        exit_code=0,
        output=output,
    )
    result = TaskResult(
        task=task,
        title=title,
        status="succeeded",
        attempt=1,
        reason="exit code 0",
        source="worker",
        exit_code=0,
        output=text,
        output_bytes=len(text),
    )
    return created, ended, result


def _send(to: str, number: int, message: Message[None]) -> bytes:
    return b'{"to":"%b","n":%d,"type":"%b","data":%b}' % (
        to.encode(),
        number,
        message.kind.encode(),
        message.model_dump_json().encode(),
    )


class _Writer:
    """Appends sealed lines to a journal, a segment after the other."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._seq = 0
        self._first = 1
        self._lines: list[bytes] = []
        self._bytes = 0

    def line(
        self, ts: int, events: tuple[Event, ...], sender: tuple[str, int] = ("", 0), send: bytes = b""
    ) -> None:
        """Add the line of a turn."""
        self._seq += 1
        told = b",".join(
            b'{"type":"%b","v":%d,"data":%b}'
            % (event.kind.encode(), event.version, event.model_dump_json().encode())
            for event in events
        )
        cause = f"{sender[0] or 'outside'}/{self._seq}".encode()
        line = seal(_LINE % (self._seq, ts, cause, sender[0].encode(), sender[1], self._seq - 1, told, send))
        self._lines.append(line)
        self._bytes += len(line)
        if self._bytes >= SEGMENT_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is left to a segment of its own."""
        if self._lines:
            segment_path(self._folder, self._first, 1).write_bytes(b"".join(self._lines))
            self._lines, self._bytes, self._first = [], 0, self._seq + 1


async def _settle(path: Path) -> None:
    """Run the cast until a task of it is answered and a checkpoint covers everything."""
    with trio.fail_after(SETTLE_S):
        async with ActorSystem(path) as system:
            await start_cast(system, CastConfig(timezone="UTC"))
            spec = TaskSpec(title="the last one", command=("true",))
            await system.get("workers").ask_async(CreateTask(spec=spec), timeout_s=SETTLE_S)
            await wait_until_ready(system, SETTLE_S)
            projection: ProjectionActor = system.cell("projection").actor
            while projection.feed.model.tasks.active or not _is_covered(projection):
                await trio.sleep(0.1)


def _is_covered(projection: ProjectionActor) -> bool:
    """Whether the newest checkpoint has nearly all lines, as after a quiet second."""
    known = {cursor.journal: cursor.seq for cursor in projection.state.cursors}
    durable = projection.follower.durable
    return all(known.get(name, 0) >= 0.97 * seq for name, seq in durable.items() if seq > 1000)
