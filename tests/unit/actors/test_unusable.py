"""Stored items that this machine can't use now: shown, removable, and nothing else stops."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest
import trio
from trio.testing import MockClock

from tests.integration.serving import understudy
from tests.unit.actors.cron_kit import NOON, Desk
from tests.unit.actors.stage import ManualClock
from tests.web_kit import serving
from understudy import ActorSystem, Refused
from understudy.actors.cron import times
from understudy.actors.cron.cron import LOOK_AGAIN_S
from understudy.actors.projection.live import incident_text
from understudy.protocols.lifecycle import ClockCameBack, LifecycleEvent
from understudy.protocols.schedules import DisableSchedule, EnableSchedule, RemoveSchedule
from understudy.supervision.testing.clock import VirtualClock

DAY_S = 86_400
GONE = "Mars/Olympus"


def know_zone(patch: pytest.MonkeyPatch) -> None:
    """Have this machine know a zone that it does not."""

    def find(name: str) -> ZoneInfo:
        return ZoneInfo("UTC" if name == GONE else name)

    patch.setattr(times, "ZoneInfo", find)


async def test_a_schedule_in_a_zone_that_is_gone_stops_nothing_and_fires_again_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its missed times follow its misfire policy; the schedule beside it fires all the time."""
    with monkeypatch.context() as patch:
        know_zone(patch)
        async with ActorSystem(tmp_path, clock=ManualClock(NOON)) as system:
            desk = await Desk.set(system)
            await desk.add(cron="0 * * * *", timezone=GONE, misfire="all")
            await desk.add(cron="0 * * * *")
    async with ActorSystem(tmp_path, clock=ManualClock(NOON)) as system:
        desk = await Desk.set(system)
        desk.advance(2 * 3600)
        assert await desk.wait_fired(1) == [NOON + 2 * 3600]
        view = await desk.view("sched-1")
        assert (view.next_runs, view.firings, view.status) == ((), 0, "enabled")
        assert view.problem is not None
        assert GONE in view.problem
        (problem,) = system.cell("cron").actor.problems
        assert (problem.kind, problem.name, problem.reason) == ("schedule", "sched-1", view.problem)
        assert "understudy cron remove sched-1" in problem.remedy
    with monkeypatch.context() as patch:
        know_zone(patch)
        async with ActorSystem(tmp_path, clock=ManualClock(NOON + 2 * 3600 + 120)) as system:
            desk = await Desk.set(system)
            fired = await desk.wait_fired(3)
            assert sorted(fired) == [NOON + 3600, NOON + 7200, NOON + 7200]
            assert (await desk.view("sched-1")).problem is None


async def test_an_unusable_schedule_can_be_disabled_and_removed_and_is_not_enabled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To enable it would be a promise that nobody could keep."""
    with monkeypatch.context() as patch:
        know_zone(patch)
        async with ActorSystem(tmp_path, clock=ManualClock(NOON)) as system:
            desk = await Desk.set(system)
            await desk.add(cron="0 * * * *", timezone=GONE)
    async with ActorSystem(tmp_path, clock=ManualClock(NOON)) as system:
        desk = await Desk.set(system)
        await desk.ask(DisableSchedule(id="sched-1"))
        with pytest.raises(Refused, match=GONE):
            await desk.ask(EnableSchedule(id="sched-1"))
        await desk.ask(RemoveSchedule(id="sched-1"))
        assert system.cell("cron").actor.problems == ()


@pytest.mark.parametrize(("cron", "timezone"), [("0 0 99 * *", "UTC"), ("0 0 30 2 *", "UTC"), (None, GONE)])
def test_what_makes_a_stored_schedule_unusable_is_said(cron: str | None, timezone: str) -> None:
    """An expression that this croniter refuses, days that never come, a zone that is not there."""
    assert times.problem_of(cron, timezone) is not None
    assert times.problem_of("0 0 * * *", "UTC") is None


async def test_an_unusable_schedule_is_in_status_lists_and_the_event_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the server, and from the files when none runs; the command to remove it works."""
    with monkeypatch.context() as patch:
        know_zone(patch)
        async with serving(tmp_path) as server:
            new = {"title": "far", "cron": "0 * * * *", "timezone": GONE, "command": ["true"]}
            assert (await server.client.post("/api/schedules", json=new)).status_code == httpx.codes.ACCEPTED
    for command in (("status",), ("cron", "list")):
        told = understudy(*command, "--json", home=tmp_path)
        assert told.code == 0, told.err
        assert "expected an IANA time zone" in told.out
        assert understudy(*command, home=tmp_path, COLUMNS="200").code == 0
    async with serving(tmp_path) as server:
        (problem,) = (await server.client.get("/api/status")).json()["problems"]
        assert (problem["kind"], problem["name"]) == ("schedule", "sched-1")
        (listed,) = (await server.client.get("/api/schedules")).json()["schedules"]
        assert GONE in listed["problem"]
        assert (await server.client.get("/healthz")).json() == {"status": "ok"}
        await server.client.post("/api/schedules/sched-1/remove")
        assert (await server.client.get("/api/status")).json()["problems"] == []


async def test_schedules_that_wait_for_a_clock_that_was_ahead_are_an_incident(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """With what to do; again at the next start, and no more when the clock is there."""
    del autojump_clock
    told: list[ClockCameBack] = []

    def note(event: LifecycleEvent) -> None:
        if isinstance(event, ClockCameBack):
            told.append(event)

    async with ActorSystem(tmp_path, clock=VirtualClock(NOON), inline=True) as system:
        system.lifecycle.subscribe(note)
        desk = await Desk.set(system)
        assert isinstance(system.clock, VirtualClock)
        await desk.add(cron="0 * * * *")
        system.clock.jump(DAY_S)
        await trio.sleep(LOOK_AGAIN_S + 1)
        assert told == []
        system.clock.jump(-DAY_S)
        await trio.sleep(LOOK_AGAIN_S + 1)
        (event,) = told
        assert incident_text(event) == event.text
        (problem,) = system.cell("cron").actor.problems
        assert "fires nothing before 2026-11-21 13:00:00 UTC" in problem.reason
        assert "add it again" in problem.remedy
    async with ActorSystem(tmp_path, clock=VirtualClock(NOON + 3600), inline=True) as system:
        await Desk.set(system)
        assert len(system.cell("cron").actor.problems) == 1
        await trio.sleep(DAY_S)
        assert system.cell("cron").actor.problems == ()
