from __future__ import annotations

from datetime import UTC, datetime

import pytest

from understudy.actors.cron import times
from understudy.actors.engines import OfflineEngine
from understudy.protocols.engine import DoneTask, DueSchedule, Reply, RunRequest, UserInput, Wake
from understudy.protocols.schedules import ScheduleSpec, ScheduleView
from understudy.protocols.tasks import TaskResult, TaskSpec, TaskView

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC).timestamp()


class FakeDesk:
    """A desk without actors: it notes what is proposed."""

    def __init__(self) -> None:
        self.known = (
            TaskView(id="task-2", title="sleep", status="running", attempts=1),
            TaskView(id="task-1", title="echo", status="succeeded", attempts=1),
        )
        self.created: list[TaskSpec] = []
        self.added: list[ScheduleSpec] = []
        self.ended: list[str] = []

    async def tasks(self, limit: int = 50) -> tuple[TaskView, ...]:
        return self.known[:limit]

    async def task(self, task_id: str) -> TaskView | None:
        return next((view for view in self.known if view.id == task_id), None)

    async def schedules(self) -> tuple[ScheduleView, ...]:
        spec = ScheduleSpec(title="report", cron="0 7 * * *", command=("true",))
        view = ScheduleView(id="sched-1", spec=spec, timezone="UTC", status="enabled", next_runs=(NOW + 60,))
        return (view,)

    async def create_task(self, spec: TaskSpec) -> str:
        self.created.append(spec)
        return f"task-{2 + len(self.created)}"

    async def cancel_task(self, task_id: str, reason: str) -> None:
        self.ended.append(task_id)

    async def summarize_task(self, task_id: str, text: str) -> None:
        raise AssertionError("the offline engine has no summaries")

    async def add_schedule(self, spec: ScheduleSpec) -> tuple[str, tuple[float, ...]]:
        zone = times.find_zone("UTC")
        first = times.first_due(spec, zone, NOW)
        self.added.append(spec)
        return "sched-2", times.next_runs(spec.cron, zone, first, 3)

    async def remove_schedule(self, schedule_id: str) -> None:
        self.ended.append(schedule_id)


async def answer(desk: FakeDesk, *batch: Wake) -> tuple[Reply, ...]:
    """What the engine replies to a batch."""
    request = RunRequest(run="run-1", attempt=1, batch=batch, now=NOW, timezone="UTC")
    return (await OfflineEngine().run(request, desk)).replies


async def say(desk: FakeDesk, text: str) -> str:
    """The text of the one reply to one input."""
    (reply,) = await answer(desk, UserInput(id="input-1", text=text))
    assert reply.in_reply_to == ("input-1",)
    return reply.text


@pytest.mark.req("EN-5")
async def test_run_proposes_a_shell_task_and_keeps_quiet() -> None:
    """The one reply to it is the one with the outcome."""
    desk = FakeDesk()
    assert await answer(desk, UserInput(id="input-1", text="/run echo 'a  b' | cat")) == ()
    (spec,) = desk.created
    assert spec.command == ("/bin/sh", "-c", "echo 'a  b' | cat")
    assert spec.origin == "input-1"


@pytest.mark.req("EN-5")
async def test_every_proposes_a_schedule_and_says_when_it_is_due() -> None:
    """With its id and its next runs."""
    desk = FakeDesk()
    text = await say(desk, '/every "*/5 * * * *" echo hi')
    assert "sched-2" in text
    assert "2026-11-20 10:05:00 UTC" in text
    assert desk.added[0].cron == "*/5 * * * *"


@pytest.mark.req("EN-5")
async def test_at_proposes_a_single_time() -> None:
    """Read in the home's zone."""
    desk = FakeDesk()
    assert "2026-11-20 10:00:30 UTC" in await say(desk, "/at +30s echo hi")
    assert desk.added[0].at == datetime(2026, 11, 20, 10, 0, 30, tzinfo=UTC)


@pytest.mark.req("EN-5")
@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ('/every "61 * * * *" echo hi', "expected a cron expression"),
        ("/at 2020-01-01T00:00 echo hi", "expected a time to come"),
        ("/run", "Expected /run"),
        ("/fly", "Unknown command /fly"),
        ("/run echo \x00", "should match pattern"),
        ("/cancel task-9", "no task or schedule 'task-9'"),
        ("/cancel task-1", "already succeeded"),
    ],
)
async def test_what_cannot_be_done_is_the_reply(text: str, hint: str) -> None:
    """Nothing is proposed, and the run does not fail."""
    desk = FakeDesk()
    assert hint in await say(desk, text)
    assert (desk.created, desk.added, desk.ended) == ([], [], [])


@pytest.mark.req("EN-5")
async def test_cancel_ends_a_task_or_removes_a_schedule() -> None:
    """Whichever has the id."""
    desk = FakeDesk()
    assert "being canceled" in await say(desk, "/cancel task-2")
    assert "removed" in await say(desk, "/cancel sched-1")
    assert desk.ended == ["task-2", "sched-1"]


@pytest.mark.req("EN-5")
async def test_tasks_lists_tasks_and_schedules() -> None:
    """One a line."""
    text = await say(FakeDesk(), "/tasks")
    assert text.splitlines() == [
        "task-2  running  sleep",
        "task-1  succeeded  echo",
        "sched-1  2026-11-20 10:01:00 UTC  0 7 * * *  report",
    ]


@pytest.mark.req("EN-5")
async def test_any_other_text_gets_a_short_reply() -> None:
    """Also a very long one."""
    assert "You said: hello" in await say(FakeDesk(), "hello")
    assert len(await say(FakeDesk(), "word " * 10_000)) < 300


@pytest.mark.req("EN-5")
@pytest.mark.rule("E2")
async def test_each_event_of_a_batch_gets_a_reply_of_its_own() -> None:
    """Inputs, results and reminders, in their order."""
    result = TaskResult(
        task="task-1",
        title="echo",
        status="failed",
        attempt=2,
        reason="exit code 3",
        source="worker",
        output="oh\n",
        output_bytes=90_000,
        output_cut=True,
        origin="input-1",
    )
    due = DueSchedule(id="sched-1@5", schedule="sched-1", nominal_at=5.0, title="tea", text="Tea is ready")
    replies = await answer(
        FakeDesk(), UserInput(id="input-2", text="hi"), DoneTask(id="task-1", result=result), due
    )
    assert [reply.in_reply_to for reply in replies] == [("input-2",), ("input-1",), ()]
    assert "task-1 failed (exit code 3, attempt 2): echo\noh" in replies[1].text
    assert "90000 bytes in all" in replies[1].text
    assert replies[2].text == "Reminder: Tea is ready"
