from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tests.unit.actors.cron_kit import NOON, Desk
from tests.unit.actors.stage import ManualClock, journal_events, until
from understudy import ActorSystem, NotFound, Refused
from understudy.protocols.schedules import (
    AddSchedule,
    DisableSchedule,
    EnableSchedule,
    ListSchedules,
    RemoveSchedule,
    ReserveScheduleId,
    RunSchedule,
    ScheduleSpec,
)
from understudy.protocols.tasks import Work


@pytest.mark.req("CR-1")
async def test_a_schedule_is_listed_with_its_next_runs_in_its_zone(tmp_path: Path) -> None:
    """A schedule that names no zone has the home's; both are still there after a restart."""
    for _ in range(2):
        async with ActorSystem(tmp_path, clock=ManualClock(NOON)) as system:
            desk = await Desk.set(system, timezone="Europe/Zurich")
            if not (await desk.ask(ListSchedules())).schedules:
                await desk.add(cron="0 18 * * *")
                await desk.add(cron="0 18 * * *", timezone="Asia/Tokyo")
            tokyo, zurich = (await desk.ask(ListSchedules(next_runs=2))).schedules
            assert (zurich.id, zurich.timezone, zurich.status) == ("sched-1", "Europe/Zurich", "enabled")
            assert zurich.next_runs == (NOON + 5 * 3600, NOON + 29 * 3600)
            assert tokyo.next_runs == (NOON + 21 * 3600, NOON + 45 * 3600)


@pytest.mark.req("CR-2")
@pytest.mark.rule("C2")
async def test_a_due_schedule_creates_its_task_and_nothing_else(tmp_path: Path) -> None:
    """The task carries schedule and nominal time (rule C2); the manager waits for its end."""
    async with ActorSystem(tmp_path, clock=ManualClock(NOON)) as system:
        desk = await Desk.set(system)
        await desk.add(cron="* * * * *", command=("echo", "hi"), timeout_s=9, retries=2, origin="input-1")
        desk.advance(59.999)
        await desk.ask(ListSchedules())
        assert desk.seen.specs == []
        desk.advance(0.001)
        assert await desk.wait_fired(1) == [NOON + 60]
        (spec,) = desk.seen.specs
        assert (spec.schedule, spec.command, spec.timeout_s, spec.retries) == (
            "sched-1",
            ("echo", "hi"),
            9,
            2,
        )
        assert spec.origin is None
        assert desk.seen.dues == []
        (view,) = (await desk.ask(ListSchedules(next_runs=1))).schedules
        assert (view.next_runs, view.last_nominal_at, view.firings) == ((NOON + 120,), NOON + 60, 1)


@pytest.mark.req("CR-2")
async def test_a_reminder_wakes_the_manager_at_once(tmp_path: Path) -> None:
    """With a command it makes a task too; without one it only speaks."""
    async with ActorSystem(tmp_path, clock=ManualClock(NOON)) as system:
        desk = await Desk.set(system)
        await desk.add(cron="* * * * *", kind="reminder", command=(), text="Tea is ready")
        await desk.add(cron="* * * * *", kind="reminder", title="stretch")
        desk.advance(60)
        await until(system, lambda: len(desk.seen.dues) == 2)
        first, second = desk.seen.dues
        assert (first.id, first.text) == (f"sched-1@{NOON + 60:.0f}", "Tea is ready")
        assert (second.schedule, second.title) == ("sched-2", "stretch")
        assert [spec.schedule for spec in desk.seen.specs] == ["sched-2"]


@pytest.mark.req("CR-1")
async def test_a_single_time_fires_once_and_is_done(tmp_path: Path) -> None:
    """It stays listed; enabling it again is refused."""
    async with ActorSystem(tmp_path, clock=ManualClock(NOON)) as system:
        desk = await Desk.set(system)
        await desk.add(at=datetime.fromtimestamp(NOON + 30.5, UTC))
        desk.advance(31)
        assert await desk.wait_fired(1) == [NOON + 30.5]
        (view,) = (await desk.ask(ListSchedules())).schedules
        assert (view.status, view.next_runs) == ("done", ())
        for message in (EnableSchedule(id="sched-1"), DisableSchedule(id="sched-1")):
            with pytest.raises(Refused, match="sched-1 is done"):
                await desk.ask(message)
        await desk.ask(RemoveSchedule(id="sched-1"))
        assert (await desk.ask(ListSchedules())).schedules == ()


@pytest.mark.req("CR-1")
async def test_a_disabled_schedule_does_not_fire_and_makes_up_for_nothing(tmp_path: Path) -> None:
    """Enabled again it is due at the next time."""
    async with ActorSystem(tmp_path, clock=ManualClock(NOON)) as system:
        desk = await Desk.set(system)
        await desk.add(cron="* * * * *")
        assert (await desk.ask(DisableSchedule(id="sched-1"))).next_at is None
        desk.advance(3590)
        (view,) = (await desk.ask(ListSchedules())).schedules
        assert (view.status, view.next_runs) == ("disabled", ())
        assert (await desk.ask(EnableSchedule(id="sched-1"))).next_at == NOON + 3600
        await desk.add(at=datetime.fromtimestamp(NOON + 3595, UTC))
        desk.advance(5)
        assert await desk.wait_fired(1) == [NOON + 3595]
        desk.advance(5)
        assert await desk.wait_fired(2) == [NOON + 3595, NOON + 3600]


@pytest.mark.req("CR-1")
async def test_a_removed_schedule_is_gone(tmp_path: Path) -> None:
    """And never fires; its id is not given again."""
    async with ActorSystem(tmp_path, clock=ManualClock(NOON)) as system:
        desk = await Desk.set(system)
        await desk.add(cron="* * * * *", title="removed")
        await desk.ask(RemoveSchedule(id="sched-1"))
        await desk.add(cron="* * * * *", title="kept")
        desk.advance(60)
        await desk.wait_fired(1)
        assert [spec.title for spec in desk.seen.specs] == ["kept"]
        for message in (RemoveSchedule(id="sched-1"), EnableSchedule(id="sched-1"), DisableSchedule(id="x")):
            with pytest.raises(NotFound, match="expected the id of a schedule"):
                await desk.ask(message)


@pytest.mark.req("CR-2")
@pytest.mark.rule("C2")
async def test_times_that_passed_while_nobody_could_fire_them_are_made_up_for_by_one_firing(
    tmp_path: Path,
) -> None:
    """The last of them, per schedule; a single time too; then the next ones as they come (rule C2)."""
    async with ActorSystem(tmp_path, clock=ManualClock(NOON)) as system:
        desk = await Desk.set(system)
        await desk.add(cron="*/5 * * * *")
        await desk.add(at=datetime.fromtimestamp(NOON + 30, UTC))
    later = NOON + 2 * 3600 + 61
    async with ActorSystem(tmp_path, clock=ManualClock(later)) as system:
        desk = await Desk.set(system)
        assert sorted(await desk.wait_fired(2)) == [NOON + 30, NOON + 2 * 3600]
        (_, every) = (await desk.ask(ListSchedules(next_runs=1))).schedules
        assert every.next_runs == (NOON + 2 * 3600 + 300,)
    fired = [event for event in journal_events(tmp_path, "cron") if event["type"] == "ScheduleFired"]
    assert [(event["id"], event["caught_up"]) for event in fired] == [("sched-2", True), ("sched-1", True)]


@pytest.mark.rule("C2")
async def test_a_crash_right_after_a_firing_does_not_fire_again(tmp_path: Path) -> None:
    """Firing and task are one line: both are there, or neither is, and the next start makes up for it."""
    home = tmp_path / "home"
    async with ActorSystem(home, clock=ManualClock(NOON)) as system:
        desk = await Desk.set(system)
        await desk.add(cron="* * * * *")
        desk.advance(60)
        await until(system, lambda: any(e["type"] == "ScheduleFired" for e in journal_events(home, "cron")))
        shutil.copytree(home, tmp_path / "copy")
    async with ActorSystem(tmp_path / "copy", clock=ManualClock(NOON + 61)) as system:
        desk = await Desk.set(system)
        assert await desk.wait_fired(1) == [NOON + 60]
        await desk.ask(ListSchedules())
        assert len(desk.seen.specs) == 1


async def test_a_reserved_schedule_that_comes_late_is_due_at_once(tmp_path: Path) -> None:
    """It was told to its user already, so it is not refused; a foreign id is."""
    async with ActorSystem(tmp_path, clock=ManualClock(NOON)) as system:
        desk = await Desk.set(system)
        reserved = (await desk.ask(ReserveScheduleId())).id
        spec = ScheduleSpec(title="late", command=("true",), at=datetime.fromtimestamp(NOON - 1, UTC))
        await desk.ask(AddSchedule(spec=spec, id=reserved))
        assert await desk.wait_fired(1) == [NOON - 1]
        for taken in (reserved, "sched-7", "1", "sched-0", "sched-01"):
            with pytest.raises(Refused, match="expected an id from ReserveScheduleId"):
                await desk.ask(AddSchedule(spec=spec, id=taken))


@pytest.mark.req("CR-1")
@pytest.mark.parametrize(
    ("fields", "hint"),
    [
        ({"cron": "61 * * * *"}, "expected a cron expression"),
        ({"cron": "0 0 30 2 *"}, "expected a cron expression that is due some day"),
        ({"cron": "* * * * *", "timezone": "Mars/Base"}, "expected an IANA time zone"),
        ({"at": datetime(2020, 1, 1, tzinfo=UTC)}, "expected a time to come"),
    ],
)
async def test_a_schedule_that_cannot_be_is_refused_when_it_is_made(
    tmp_path: Path, fields: dict[str, object], hint: str
) -> None:
    """And leaves nothing behind."""
    async with ActorSystem(tmp_path, clock=ManualClock(NOON)) as system:
        desk = await Desk.set(system)
        with pytest.raises(Refused, match=hint):
            await desk.add(**fields)
        assert (await desk.ask(ListSchedules())).schedules == ()


@pytest.mark.parametrize(
    ("fields", "hint"),
    [
        ({}, "exactly one of cron and at"),
        ({"cron": "* * * * *", "at": "2027-01-01T00:00"}, "exactly one of cron and at"),
        ({"cron": "* * * * *", "command": ()}, "expected a command"),
        ({"cron": "* * * * *", "kind": "reminder", "command": (" ",)}, "expected a command"),
        ({"at": "tomorrow"}, "datetime"),
    ],
)
def test_a_bad_schedule_is_refused_at_the_edge(fields: dict[str, object], hint: str) -> None:
    """Before any actor sees it."""
    with pytest.raises(ValidationError, match=hint):
        ScheduleSpec.model_validate({"title": "x", "command": ("true",), **fields})


async def test_many_schedules_that_are_due_together_all_fire(tmp_path: Path) -> None:
    """Spread over several turns, each once."""
    async with ActorSystem(tmp_path, clock=ManualClock(NOON)) as system:
        desk = await Desk.set(system)
        for _ in range(1_100):
            system.get("cron").tell(
                AddSchedule(spec=ScheduleSpec(title="x", command=("true",), cron="* * * * *"))
            )
        await desk.ask(ListSchedules(next_runs=0))
    async with ActorSystem(tmp_path, clock=ManualClock(NOON + 61)) as system:
        desk = await Desk.set(system)
        assert await desk.wait_fired(1_100) == [NOON + 60] * 1_100
        assert len({spec.schedule for spec in desk.seen.specs}) == 1_100


@pytest.mark.req("CR-1", "WK-3")
async def test_the_tasks_of_a_schedule_have_what_it_says_of_them(tmp_path: Path) -> None:
    """Everything that a task may say of its work; a reminder that calls a function makes a task too."""
    work: dict[str, Any] = {
        "command": (),
        "executor": "python",
        "function": "report",
        "arguments": '{"day":1}',
        "queue": "reports",
        "priority": 7,
        "timeout_s": 60.0,
        "retries": 2,
        "retry_delay_s": 5.0,
        "workspace": "reports",
        "env": (("A", "b"),),
    }
    assert set(work) == set(Work.model_fields)
    async with ActorSystem(tmp_path, clock=ManualClock(NOON)) as system:
        desk = await Desk.set(system)
        await desk.add(cron="* * * * *", **work)
        await desk.add(cron="* * * * *", kind="reminder", **work)
        desk.advance(60)
        assert await desk.wait_fired(2) == [NOON + 60] * 2
        for spec in desk.seen.specs:
            assert {name: getattr(spec, name) for name in work} == work
    with pytest.raises(ValidationError, match="expected the name of a registered callable"):
        ScheduleSpec.model_validate({"title": "x", "cron": "* * * * *", **work, "function": ""})


@pytest.mark.req("CR-1")
async def test_a_schedule_fires_by_hand_and_its_times_stay(tmp_path: Path) -> None:
    """Also one that is disabled; it is no firing of a due time, so none is counted or used up."""
    async with ActorSystem(tmp_path, clock=ManualClock(NOON)) as system:
        desk = await Desk.set(system)
        await desk.add(cron="* * * * *", command=("true",), wake="always")
        desk.advance(7.25)
        before = (await desk.ask(ListSchedules())).schedules
        await desk.ask(RunSchedule(id="sched-1"))
        await until(system, lambda: len(desk.seen.specs) == 1 and len(desk.seen.dues) == 1)
        assert (desk.seen.specs[0].schedule, desk.seen.dues[0].nominal_at) == ("sched-1", NOON + 7.25)
        assert (await desk.ask(ListSchedules())).schedules == before
        desk.advance(52.75)
        assert await desk.wait_fired(2) == [NOON + 7.25, NOON + 60]
        await desk.ask(DisableSchedule(id="sched-1"))
        await desk.ask(RunSchedule(id="sched-1"))
        assert len(await desk.wait_fired(3)) == 3
        with pytest.raises(NotFound):
            await desk.ask(RunSchedule(id="sched-7"))
