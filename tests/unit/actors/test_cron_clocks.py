"""Cron when the wall clock is set, when the runtime starts again and again, and what it leaves behind."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.unit.actors.cron_kit import NOON, Desk
from tests.unit.actors.stage import ManualClock, Script, Stage, journal_events, journal_lines, until
from understudy import ActorSystem, Refused
from understudy.actors.cron import CronActor
from understudy.actors.cron.cron import LOOK_AGAIN_S
from understudy.actors.cron.reckoning import due_at
from understudy.actors.cron.times import find_zone
from understudy.protocols.schedules import (
    AddSchedule,
    DisableSchedule,
    EnableSchedule,
    RemoveSchedule,
    ReserveScheduleId,
    ScheduleSpec,
)
from understudy.supervision.testing.clock import VirtualClock


def fired(home: Path, schedule: str = "sched-1") -> list[float]:
    """The nominal times of its firings, as journaled."""
    return [
        event["nominal_at"]
        for event in journal_events(home, "cron")
        if event["type"] == "ScheduleFired" and event["id"] == schedule
    ]


@pytest.mark.req("CR-3")
@pytest.mark.rule("C2")
async def test_a_restart_more_often_than_the_interval_fires_once_for_each_time(tmp_path: Path) -> None:
    """Forty starts, seven seconds apart, of a schedule for every minute."""
    for n in range(40):
        async with ActorSystem(tmp_path, clock=ManualClock(NOON + 7 * n), inline=True) as system:
            desk = await Desk.set(system)
            if n == 0:
                await desk.add(cron="* * * * *")
                await desk.add(cron="* * * * *", jitter_s=20, misfire="skip", misfire_grace_s=8)
            await desk.view()
    assert fired(tmp_path) == [NOON + 60 * n for n in range(1, 5)]
    assert fired(tmp_path, "sched-2") == [NOON + 60 * n for n in range(1, 5)]


@pytest.mark.req("CR-4")
async def test_a_clock_that_is_set_forward_is_noticed(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Within half a minute, and what was jumped over follows the misfire policy."""
    del autojump_clock
    async with ActorSystem(tmp_path, clock=VirtualClock(NOON), inline=True) as system:
        desk = await Desk.set(system)
        assert isinstance(system.clock, VirtualClock)
        await desk.add(cron="0 * * * *")
        await desk.add(cron="0 * * * *", misfire="skip")
        await trio.sleep(1)
        system.clock.jump(3 * 3600 + 120)
        await trio.sleep(LOOK_AGAIN_S)
        assert fired(tmp_path) == [NOON + 3 * 3600]
        assert fired(tmp_path, "sched-2") == []
        once, skip = await desk.view("sched-1"), await desk.view("sched-2")
        assert (once.missed, skip.missed) == (2, 3)
        assert skip.last_missed is not None
        assert (skip.last_missed.first_at, skip.last_missed.last_at) == (NOON + 3600, NOON + 3 * 3600)
        await trio.sleep(3600)
        assert fired(tmp_path)[1:] == fired(tmp_path, "sched-2") == [NOON + 4 * 3600]


@pytest.mark.req("CR-4")
@pytest.mark.rule("C2")
async def test_a_time_that_was_recorded_as_missed_does_not_come_again_when_the_clock_is_set_back(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Also not by disabling and enabling: it would be missed and fired."""
    del autojump_clock
    clock = VirtualClock(NOON)
    async with ActorSystem(tmp_path, clock=clock, inline=True) as system:
        desk = await Desk.set(system)
        await desk.add(cron="*/10 * * * *", misfire="skip", misfire_grace_s=1)
        clock.jump(65 * 60)
        await trio.sleep(60)
        missed = (await desk.view()).last_missed
        assert missed is not None
        assert missed.last_at == NOON + 3600
        clock.jump(-40 * 60)
        await desk.ask(DisableSchedule(id="sched-1"))
        assert (await desk.ask(EnableSchedule(id="sched-1"))).next_at == NOON + 4200


@pytest.mark.req("CR-4")
@pytest.mark.rule("C2")
async def test_a_clock_that_is_set_back_fires_nothing_again(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """It waits until the wall clock shows the next time that was not there yet; so after a restart."""
    del autojump_clock
    clock = VirtualClock(NOON)
    async with ActorSystem(tmp_path, clock=clock, inline=True) as system:
        desk = await Desk.set(system)
        await desk.add(cron="*/10 * * * *")
        await trio.sleep(31 * 60)
        clock.jump(-25 * 60)
        await trio.sleep(10 * 60)
        assert fired(tmp_path) == [NOON + 600, NOON + 1200, NOON + 1800]
    async with ActorSystem(tmp_path, clock=clock, inline=True) as system:
        desk = await Desk.set(system)
        await desk.ask(DisableSchedule(id="sched-1"))
        assert (await desk.ask(EnableSchedule(id="sched-1"))).next_at == NOON + 2400
        await trio.sleep(NOON + 2400 - clock.time() - 1)
        assert len(fired(tmp_path)) == 3
        await trio.sleep(1.01)
        assert fired(tmp_path)[3:] == [NOON + 2400]


@pytest.mark.req("CR-4")
async def test_a_night_of_jumps_fires_each_hour_at_most_once(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Back and forth, around each full hour: in order, none twice, and each that was passed slowly."""
    del autojump_clock
    clock = VirtualClock(NOON)
    async with ActorSystem(tmp_path, clock=clock, inline=True) as system:
        desk = await Desk.set(system)
        await desk.add(cron="0 * * * *")
        for jump in (-120, 90, -3000, 45, -1, 3000, -59, 600, -600):
            await trio.sleep(3600)
            clock.jump(jump)
        await trio.sleep(3600)
        end = clock.time()
    found = fired(tmp_path)
    assert all(before < now for before, now in pairwise(found))
    assert found == [NOON + 3600 * (n + 1) for n in range(int(end - NOON) // 3600)]


@pytest.mark.req("CR-4")
async def test_looking_at_the_clock_writes_nothing(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A day of looks, and no line more than there was; with nothing armed there are none."""
    del autojump_clock
    async with ActorSystem(tmp_path, clock=VirtualClock(NOON), inline=True) as system:
        desk = await Desk.set(system)
        await desk.add(at=datetime.fromtimestamp(NOON + 10 * 86_400, UTC))
        await desk.view()
        before = len(journal_lines(tmp_path, "cron"))
        await trio.sleep(86_400)
        assert len(journal_lines(tmp_path, "cron")) == before
        await desk.ask(RemoveSchedule(id="sched-1"))
        await trio.sleep(60)
        assert system.cell("cron").actor._armed_at is None


@pytest.mark.req("CR-3")
async def test_jitter_is_the_same_after_a_restart(tmp_path: Path, autojump_clock: MockClock) -> None:
    """It moves the firing, not its name."""
    del autojump_clock
    clock = VirtualClock(NOON)
    fields: dict[str, Any] = {"title": "report", "command": ("true",), "cron": "0 * * * *", "jitter_s": 3000}
    due = due_at("sched-1", ScheduleSpec(**fields), find_zone("UTC"), NOON + 3600)
    assert due > NOON + 3600
    for start in (0.0, 3600.0):
        async with ActorSystem(tmp_path, clock=clock, inline=True) as system:
            desk = await Desk.set(system)
            if start == 0.0:
                await desk.add(**fields)
            await trio.sleep(NOON + start + 1 - clock.time())
            assert fired(tmp_path) == []
    async with ActorSystem(tmp_path, clock=clock, inline=True) as system:
        await Desk.set(system)
        await trio.sleep(due - clock.time() - 0.01)
        assert fired(tmp_path) == []
        await trio.sleep(0.02)
        assert fired(tmp_path) == [NOON + 3600]


@pytest.mark.req("CR-3")
async def test_more_firings_than_a_turn_takes_are_spread_in_order(tmp_path: Path) -> None:
    """All of a long outage, by `all`; each line of the journal holds 500 at most."""
    async with ActorSystem(tmp_path, clock=ManualClock(NOON), inline=True) as system:
        desk = await Desk.set(system)
        await desk.add(cron="* * * * *", misfire="all", misfire_limit=600)
    async with ActorSystem(tmp_path, clock=ManualClock(NOON + 1000 * 60 + 1), inline=True) as system:
        desk = await Desk.set(system)
        due = await desk.wait_fired(601)
        view = await desk.view(runs=1)
    assert due == [NOON + 60 * n for n in range(400, 1001)]
    assert (view.firings, view.missed, view.next_runs) == (601, 399, (NOON + 1001 * 60,))
    counts = [len(line["events"]) for line in journal_lines(tmp_path, "cron")]
    assert max(counts) == 501


@pytest.mark.req("CR-2")
async def test_a_background_schedule_can_wake_the_manager_at_once(tmp_path: Path) -> None:
    """With `wake="always"`; the task comes all the same."""
    async with ActorSystem(tmp_path, clock=ManualClock(NOON)) as system:
        desk = await Desk.set(system)
        await desk.add(cron="* * * * *", wake="always")
        desk.advance(60)
        await until(system, lambda: len(desk.seen.dues) == 1)
        assert [due.schedule for due in desk.seen.dues] == ["sched-1"]
        assert len(await desk.wait_fired(1)) == 1


@pytest.mark.rule("C2")
async def test_an_id_is_never_given_again(tmp_path: Path) -> None:
    """Neither of a schedule that was removed, nor by hand; so a firing's name stays its own."""
    async with ActorSystem(tmp_path, clock=ManualClock(NOON)) as system:
        desk = await Desk.set(system)
        first = (await desk.ask(ReserveScheduleId())).id
        spec = ScheduleSpec(title="x", command=("true",), cron="* * * * *")
        assert (await desk.ask(AddSchedule(spec=spec, id=first))).id == first
        await desk.ask(RemoveSchedule(id=first))
    async with ActorSystem(tmp_path, clock=ManualClock(NOON)) as system:
        desk = await Desk.set(system)
        with pytest.raises(Refused, match="expected an id from ReserveScheduleId"):
            await desk.ask(AddSchedule(spec=spec, id=first))
        assert (await desk.ask(AddSchedule(spec=spec))).id == "sched-2"


@pytest.mark.req("CR-3")
@pytest.mark.parametrize(
    ("overlap", "started", "cancelled", "skipped"),
    [
        ("allow", ["task-1/1", "task-2/1"], [], []),
        ("forbid", ["task-1/1"], [], [NOON + 120]),
        ("replace", ["task-1/1", "task-2/1"], ["task-1/1"], []),
    ],
)
async def test_an_overlap_is_decided_by_the_pool(
    tmp_path: Path, overlap: str, started: list[str], cancelled: list[str], skipped: list[float]
) -> None:
    """Which knows what runs: both, the old one or the new one; what was skipped is in its journal."""
    shell = Script()
    clock = ManualClock(NOON)
    async with ActorSystem(tmp_path, clock=clock) as system:
        await Stage.set(system, executors={"shell": shell})
        await system.spawn(CronActor, name="cron", timezone="UTC", manager="ear")
        spec = ScheduleSpec.model_validate(
            {"title": "x", "command": ("true",), "cron": "* * * * *", "overlap": overlap}
        )
        await system.get("cron").ask_async(AddSchedule(spec=spec), timeout_s=5)
        clock.advance(system, 60)
        await shell.wait_started("task-1/1")
        clock.advance(system, 60)
        await shell.wait_started(*started)
        await until(system, lambda: len(fired(tmp_path)) == 2)
        await until(system, lambda: [*map(_nominal_at, _skipped(tmp_path))] == skipped)
        assert (shell.started, shell.cancelled) == (started, cancelled)
        assert [one["task"] for one in _skipped(tmp_path)] == ["task-1"] * len(skipped)
        for mark in started:
            shell.end(mark)


def _skipped(home: Path) -> list[dict[str, Any]]:
    return [event for event in journal_events(home, "workers") if event["type"] == "FiringSkipped"]


def _nominal_at(event: dict[str, Any]) -> float:
    return event["nominal_at"]
