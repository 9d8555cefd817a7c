"""Deliveries to sinks: their life in the notifier's journal, with functions as the receivers."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.unit.actors.stage import ManualClock, journal_events, until
from tests.unit.actors.test_notifier import Session, done, tasks_of
from understudy import ActorSystem, NotFound, Refused
from understudy.actors.notifier import CallbackConfig, NotifierActor, NotifierState
from understudy.actors.notifier import notifier as module
from understudy.actors.notifier.sinks import NotDelivered
from understudy.protocols.notifications import (
    Delivery,
    DeliveryList,
    DeliveryStatus,
    DeliveryView,
    ListDeliveries,
    Notification,
    Notify,
    RetryDeliveries,
    TaskDone,
)
from understudy.supervision.testing.clock import VirtualClock

NOW = 1_795_000_000.0


class Receiver:
    """Takes deliveries; `fail` says what is raised, `gate` holds them up until it is set."""

    def __init__(self) -> None:
        self.got: list[Delivery] = []
        self.fail: Callable[[Delivery], Exception | None] = lambda _delivery: None
        self.gate: trio.Event | None = None
        self.running = 0
        self.most = 0
        self._came = trio.Event()

    async def __call__(self, delivery: Delivery) -> None:
        self.got.append(delivery)
        self.running += 1
        self.most = max(self.most, self.running)
        self._came.set()
        try:
            if self.gate is not None:
                await self.gate.wait()
        finally:
            self.running -= 1
        if (error := self.fail(delivery)) is not None:
            raise error

    async def wait(self, count: int) -> list[Delivery]:
        """Until so many attempts have begun."""
        with trio.fail_after(5):
            while len(self.got) < count:
                self._came = trio.Event()
                await self._came.wait()
        return self.got

    def sink(self, name: str = "ears", **fields: Any) -> CallbackConfig:
        """As a sink's configuration."""
        return CallbackConfig(name=name, function=self, **fields)


class Stage:
    """A notifier with sinks, and a manager that hears how tasks ended."""

    def __init__(self, system: ActorSystem, clock: ManualClock) -> None:
        self.system = system
        self.clock = clock

    async def ask(self, message: Any) -> Any:
        """Ask the notifier, within 5 seconds."""
        return await self.system.get("notifier").ask_async(message, timeout_s=5)

    async def tell_ends(self, *numbers: int) -> None:
        """Tasks have ended."""
        for number in numbers:
            await self.ask(done(number))

    async def list(self, status: DeliveryStatus | None = None, **fields: Any) -> DeliveryList:
        """The deliveries that are not made."""
        return await self.ask(ListDeliveries(status=status, **fields))

    async def wait_list(self, is_so: Callable[[DeliveryList], bool]) -> DeliveryList:
        """Until the list is so."""
        found: list[DeliveryList] = []

        async def look() -> bool:
            found.append(await self.list())
            return is_so(found[-1])

        await until(self.system, look)
        return found[-1]

    async def wait_dead(self, count: int) -> tuple[DeliveryView, ...]:
        """Until there are so many dead letters, and nothing else."""
        return (await self.wait_list(lambda found: (found.queued, found.dead) == (0, count))).deliveries

    async def wait_idle(self) -> DeliveryList:
        """Until no attempt is under way."""
        return await self.wait_list(lambda found: all(each.status != "running" for each in found.deliveries))

    @property
    def state(self) -> NotifierState:
        """The notifier's."""
        return self.system.cell("notifier").actor.state


@asynccontextmanager
async def stage(
    home: Path, *sinks: CallbackConfig, clock: ManualClock | None = None, seed: int = 1
) -> AsyncGenerator[Stage]:
    """A stage on a home."""
    clock = clock or ManualClock(NOW)
    async with ActorSystem(home, clock=clock, seed=seed) as system:
        await system.spawn(Session, name="manager")
        await system.spawn(NotifierActor, name="notifier", sinks=sinks)
        yield Stage(system, clock)


def failing(*errors: Exception) -> Callable[[Delivery], Exception | None]:
    """Raise these in turn, and then nothing."""
    left = list(errors)
    return lambda _delivery: left.pop(0) if left else None


@pytest.mark.req("NT-2")
async def test_the_end_of_a_task_is_told_to_its_session_and_to_each_sink_once(tmp_path: Path) -> None:
    """Each sink under an id of its own, with the same body in each repetition."""
    first, second = Receiver(), Receiver()
    async with stage(tmp_path, first.sink("first"), second.sink("second")) as found:
        await found.tell_ends(1, 1, 2)
        await found.wait_list(lambda page: page.queued == 0)
        assert tasks_of(found.system, "manager") == ["task-1", "task-2"]
        for receiver in (first, second):
            assert [delivery.notification.id for delivery in receiver.got] == ["task-1", "task-2"]
        assert len({delivery.id for delivery in first.got + second.got}) == 4
        body = json.loads(first.got[0].body())
        assert body["type"] == "task_done"
        assert body["timestamp"] == "2026-11-18T11:06:40.000Z"
        assert (body["data"]["task"], body["data"]["status"]) == ("task-1", "succeeded")
        assert not found.state.told, "what everybody was told is not kept"


@pytest.mark.req("NT-2")
async def test_a_failed_attempt_is_repeated_later_under_the_same_id(tmp_path: Path) -> None:
    """After a second, then two, with jitter; the body is the same, too."""
    receiver = Receiver()
    receiver.fail = failing(RuntimeError("not now"), OSError("nor now"))
    async with stage(tmp_path, receiver.sink()) as found:
        await found.tell_ends(1)
        for attempt, delay_s in ((1, 1.0), (2, 2.0)):
            (view,) = (await found.wait_idle()).deliveries
            assert (view.status, view.attempts) == ("queued", attempt)
            assert view.retry_at is not None
            assert 0.79 * delay_s <= view.retry_at - found.clock.time() <= 1.21 * delay_s
            found.clock.advance(found.system, 1.21 * delay_s)
            await receiver.wait(attempt + 1)
        await found.wait_list(lambda page: page.queued == 0)
        assert [delivery.attempt for delivery in receiver.got] == [1, 2, 3]
        assert len({(delivery.id, delivery.body()) for delivery in receiver.got}) == 1
    recorded = [event for event in journal_events(tmp_path, "notifier") if event["type"] == "DeliveryRetried"]
    assert [event["error"] for event in recorded] == ["RuntimeError: not now", "OSError: nor now"]


@pytest.mark.req("NT-2")
async def test_a_delivery_that_fails_too_often_is_a_dead_letter_until_somebody_retries_it(
    tmp_path: Path,
) -> None:
    """Over a restart; then it has as many attempts as a new one, and they go on counting."""
    receiver = Receiver()
    receiver.fail = lambda delivery: RuntimeError(f"no {delivery.attempt}")
    sink = receiver.sink(attempts=2, retry_delay_s=0)
    async with stage(tmp_path, sink) as found:
        await found.tell_ends(1)
        (dead,) = await found.wait_dead(1)
        assert (dead.status, dead.about, dead.attempts) == ("dead", "task-1", 2)
        assert dead.error == "RuntimeError: no 2 (attempt 2)"
    async with stage(tmp_path, sink) as found:
        assert (await found.list("dead")).deliveries == (dead,)
        with pytest.raises(NotFound, match="'dlv-9'"):
            await found.ask(RetryDeliveries(ids=("dlv-9",)))
        assert (await found.ask(RetryDeliveries())).ids == (dead.id,)
        (again,) = await found.wait_dead(1)
        assert again.attempts == 4
        receiver.fail = failing()
        await found.ask(RetryDeliveries(ids=(dead.id, dead.id)))
        await found.wait_list(lambda page: (page.queued, page.dead) == (0, 0))
        assert [(delivery.id, delivery.attempt) for delivery in receiver.got] == [
            (dead.id, attempt) for attempt in range(1, 6)
        ]
        assert not found.state.told


@pytest.mark.req("NT-2")
async def test_a_queued_delivery_can_be_tried_at_once(tmp_path: Path) -> None:
    """When the receiver is known to be back; an attempt that is under way is left alone."""
    receiver = Receiver()
    receiver.fail = failing(RuntimeError("away"))
    async with stage(tmp_path, receiver.sink(retry_delay_s=600)) as found:
        await found.tell_ends(1)
        (view,) = (await found.wait_list(lambda page: page.deliveries[0].status == "queued")).deliveries
        receiver.gate = trio.Event()
        await found.ask(RetryDeliveries(ids=(view.id,)))
        await receiver.wait(2)
        await found.ask(RetryDeliveries(ids=(view.id,)))
        receiver.gate.set()
        await found.wait_list(lambda page: page.queued == 0)
        assert len(receiver.got) == 2


@pytest.mark.req("NT-2")
@pytest.mark.parametrize(
    ("tries", "attempts"), [(1, 1), (3, 3), (None, 5), (9, 5)], ids=["gone", "refused", "failed", "more"]
)
async def test_a_sink_may_say_that_fewer_attempts_are_worth_making(
    tmp_path: Path, tries: int | None, attempts: int
) -> None:
    """Never more than its configuration says."""
    receiver = Receiver()
    receiver.fail = lambda _delivery: NotDelivered("answered 404", tries=tries)
    async with stage(tmp_path, receiver.sink(attempts=5, retry_delay_s=0)) as found:
        await found.tell_ends(1)
        await found.wait_dead(1)
        assert len(receiver.got) == attempts


@pytest.mark.req("NT-2")
@pytest.mark.parametrize(("wish_s", "wait_s"), [(120.0, 120.0), (0.1, 1.0), (1e9, 3600.0)])
async def test_the_wish_of_a_receiver_is_heard_within_bounds(
    tmp_path: Path, wish_s: float, wait_s: float
) -> None:
    """Not before its Retry-After, and not more than an hour for it."""
    receiver = Receiver()
    receiver.fail = lambda _delivery: NotDelivered("answered 503", retry_after_s=wish_s)
    async with stage(tmp_path, receiver.sink()) as found:
        await found.tell_ends(1)
        (view,) = (await found.wait_list(lambda page: page.deliveries[0].status == "queued")).deliveries
        assert view.retry_at is not None
        assert view.retry_at - NOW == pytest.approx(wait_s, rel=0.2)


@pytest.mark.req("NT-2")
async def test_a_sink_that_fails_for_too_long_is_not_tried_again(tmp_path: Path) -> None:
    """Whatever attempts are left."""
    receiver = Receiver()
    receiver.fail = lambda _delivery: RuntimeError("away")
    async with stage(tmp_path, receiver.sink(retry_delay_s=60, max_age_s=30)) as found:
        await found.tell_ends(1)
        (dead,) = await found.wait_dead(1)
        assert dead.error == "RuntimeError: away (attempt 1, and it waits for 30 s)"


@pytest.mark.req("NT-2")
async def test_a_sink_that_fails_for_an_hour_is_told_in_the_end(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """As it comes, without a setting: under one id, with waits that grow, and the other sink at once."""
    del autojump_clock
    clock = VirtualClock(NOW)
    away, other = Receiver(), Receiver()
    away.fail = lambda _delivery: NotDelivered("answered 500") if clock.time() < NOW + 3600 else None
    async with ActorSystem(tmp_path, clock=clock, inline=True, seed=1) as system:
        await system.spawn(Session, name="manager")
        await system.spawn(NotifierActor, name="notifier", sinks=(away.sink("away"), other.sink("other")))
        found = Stage(system, ManualClock(NOW))
        await found.tell_ends(1)
        await trio.sleep(1800)
        await found.tell_ends(2)
        await trio.sleep(1)
        assert (
            [one.notification.id for one in other.got] == tasks_of(system, "manager") == ["task-1", "task-2"]
        )
        await trio.sleep(3 * 3600)
        page = await found.list()
        assert (page.queued, page.dead) == (0, 0)
    attempts = Counter(one.id for one in away.got)
    assert len(attempts) == 2
    assert all(10 < count < 16 for count in attempts.values()), "doubling waits, not a flood"


@pytest.mark.req("NT-2")
async def test_a_sink_that_hangs_holds_up_itself_only(tmp_path: Path) -> None:
    """So many attempts at once, each within its time; the other sink goes on."""
    stuck, quick = Receiver(), Receiver()
    stuck.gate = trio.Event()
    async with stage(
        tmp_path, stuck.sink("stuck", concurrency=2, timeout_s=0.05, attempts=1), quick.sink("quick")
    ) as found:
        await found.tell_ends(*range(1, 11))
        dead = await found.wait_dead(10)
        assert len(quick.got) == len(stuck.got) == 10
        assert stuck.most == 2
        assert {view.sink for view in dead} == {"stuck"}
        assert {view.error for view in dead} == {"no answer within 0.05 s (attempt 1)"}


@pytest.mark.req("NT-2")
async def test_a_sink_is_told_of_what_its_filters_let_through(tmp_path: Path) -> None:
    """Statuses and queues of tasks, sessions of everything."""
    receivers = {name: Receiver() for name in ("failures", "side", "slow", "tasks", "all")}
    sinks = (
        receivers["failures"].sink("failures", statuses=("failed", "canceled")),
        receivers["side"].sink("side", sessions=("side",)),
        receivers["slow"].sink("slow", queues=("slow",)),
        receivers["tasks"].sink("tasks", kinds=("task_done",)),
        receivers["all"].sink("all"),
    )
    ends = [
        done(1).result.model_copy(update=fields)
        for fields in (
            {"task": "task-1"},
            {"task": "task-2", "status": "failed"},
            {"task": "task-3", "session": "side", "queue": "slow"},
        )
    ]
    async with stage(tmp_path, *sinks) as found:
        for result in ends:
            await found.ask(TaskDone(result=result))
        other = Notification(id="disk-1", kind="disk.low", text="3 GB left")
        for _ in range(2):
            await found.ask(Notify(notification=other))
        await found.wait_list(lambda page: page.queued == 0)
        heard = {name: [each.notification.id for each in one.got] for name, one in receivers.items()}
        assert heard == {
            "failures": ["task-2", "disk-1"],
            "side": ["task-3"],
            "slow": ["task-3", "disk-1"],
            "tasks": ["task-1", "task-2", "task-3"],
            "all": ["task-1", "task-2", "task-3", "disk-1"],
        }
        assert tasks_of(found.system, "manager") == ["task-1", "task-2", "task-3"]
        told = json.loads(receivers["all"].got[-1].body())
        assert told["type"] == "disk.low"
        assert told["data"] == {"id": "disk-1", "session": "main", "text": "3 GB left"}


@pytest.mark.req("NT-2")
async def test_deliveries_to_a_sink_that_was_taken_away_are_dead_letters(tmp_path: Path) -> None:
    """They say so, can't be retried, and can be when it is back."""
    receiver = Receiver()
    receiver.fail = failing(RuntimeError("away"))
    async with stage(tmp_path, receiver.sink()) as found:
        await found.tell_ends(1)
        await found.wait_list(lambda page: page.deliveries[0].error != "")
    async with stage(tmp_path) as found:
        (dead,) = await found.wait_dead(1)
        assert dead.error == "no sink 'ears' is configured any more"
        with pytest.raises(Refused, match="sink that is configured"):
            await found.ask(RetryDeliveries(ids=(dead.id,)))
    async with stage(tmp_path, receiver.sink()) as found:
        await found.ask(RetryDeliveries(sink="ears"))
        await found.wait_list(lambda page: (page.queued, page.dead) == (0, 0))
        assert [delivery.attempt for delivery in receiver.got] == [1, 2]


@pytest.mark.req("NT-2")
async def test_a_receiver_that_had_taken_it_before_the_crash_gets_it_again_with_the_same_id(
    tmp_path: Path,
) -> None:
    """An attempt is recorded before it begins, so those that crashes cut off are counted, and bounded."""
    receiver = Receiver()
    receiver.gate = trio.Event()  # it has got the delivery, and we never hear of it
    sink = receiver.sink(attempts=3, retry_delay_s=0)
    homes = [tmp_path / f"home-{number}" for number in range(4)]
    async with stage(homes[0], sink) as found:
        await found.tell_ends(1)
        await receiver.wait(1)
        shutil.copytree(homes[0], homes[1])
    for number in (1, 2):
        async with stage(homes[number], sink):
            await receiver.wait(number + 1)
            shutil.copytree(homes[number], homes[number + 1])
    async with stage(homes[3], sink) as found:
        (dead,) = await found.wait_dead(1)
        assert dead.error == "the runtime went down under the attempt (attempt 3)"
        assert tasks_of(found.system, "manager") == ["task-1"]
    assert [(delivery.id, delivery.attempt) for delivery in receiver.got] == [
        (dead.id, 1),
        (dead.id, 2),
        (dead.id, 3),
    ]


@pytest.mark.req("NT-2")
async def test_what_waits_for_a_time_is_told_after_a_restart(tmp_path: Path) -> None:
    """At its time, by the new system's timer."""
    receiver = Receiver()
    receiver.fail = failing(RuntimeError("away"))
    clock = ManualClock(NOW)
    sink = receiver.sink(retry_delay_s=60)
    async with stage(tmp_path, sink, clock=clock) as found:
        await found.tell_ends(1)
        await found.wait_list(lambda page: page.deliveries[0].error != "")
    async with stage(tmp_path, sink, clock=clock) as found:
        assert (await found.list("queued")).queued == 1
        clock.advance(found.system, 73)
        await found.wait_list(lambda page: page.queued == 0)


@pytest.mark.req("NT-2")
@pytest.mark.rule("E3")
async def test_the_late_end_of_an_earlier_attempt_is_dropped(tmp_path: Path) -> None:
    """Only the token of the running attempt counts."""
    receiver = Receiver()
    receiver.gate = trio.Event()
    async with stage(tmp_path, receiver.sink()) as found:
        await found.tell_ends(1)
        (delivery,) = await receiver.wait(1)
        for attempt, name in ((2, delivery.id), (0, delivery.id), (1, "dlv-7-x")):
            await found.ask(module.AttemptMade(id=name, attempt=attempt, error=None))
        assert (await found.list()).queued == 1
        receiver.gate.set()
        await found.wait_list(lambda page: page.queued == 0)


@pytest.mark.req("NT-2")
async def test_what_waits_for_a_sink_and_what_is_dead_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not fit in is a dead letter at once; of those the newest are kept, also in a replay."""
    monkeypatch.setattr(module, "DEAD_KEPT", 3)
    receiver = Receiver()
    receiver.gate = trio.Event()
    sink = receiver.sink(waiting=2, concurrency=1)
    async with stage(tmp_path, sink) as found:
        await found.tell_ends(*range(1, 8))
        page = await found.list()
        assert [view.about for view in page.deliveries] == ["task-7", "task-6", "task-5", "task-2", "task-1"]
        assert page.deliveries[0].error == "2 deliveries wait for this sink already"
        assert len(found.state.told) == 5
        state = found.state.model_dump()
    receiver.gate.set()
    async with stage(tmp_path, sink) as found:
        assert found.state.dead.keys() == state["dead"].keys()


@pytest.mark.req("NT-2")
async def test_the_list_comes_in_pages_newest_first(tmp_path: Path) -> None:
    """By status and by sink; `before` goes on where a page has ended."""
    receiver, other = Receiver(), Receiver()
    receiver.gate = trio.Event()
    other.fail = lambda _delivery: NotDelivered("gone", tries=1)
    async with stage(tmp_path, receiver.sink(concurrency=1), other.sink("other")) as found:
        await found.tell_ends(1, 2, 3)
        await found.wait_list(lambda page: page.dead == 3)
        dead = await found.list("dead", limit=2)
        assert [view.about for view in dead.deliveries] == ["task-3", "task-2"]
        rest = await found.list("dead", limit=2, before=dead.next)
        assert ([view.about for view in rest.deliveries], rest.next) == (["task-1"], None)
        assert [view.about for view in (await found.list("running")).deliveries] == ["task-1"]
        assert len((await found.list(sink="ears")).deliveries) == 3


@pytest.mark.req("NT-2")
async def test_ten_thousand_that_wait_cost_one_timer_and_a_start_within_seconds(tmp_path: Path) -> None:
    """They are told in the end, some at a time."""
    receiver = Receiver()
    receiver.fail = lambda _delivery: RuntimeError("away")
    clock = ManualClock(NOW)
    sink = receiver.sink(retry_delay_s=60, concurrency=100)
    async with stage(tmp_path, sink, clock=clock) as found:
        notifier = found.system.get("notifier")
        for number in range(10_000):
            await notifier.tell_async(Notify(notification=Notification(id=f"n-{number}", kind="tick")))
        await until(
            found.system,
            lambda: len(receiver.got) == 10_000 and all(one.error for one in found.state.open.values()),
            timeout_s=60,
        )
    receiver.got.clear()
    receiver.fail = failing()
    with trio.fail_after(60):
        async with stage(tmp_path, sink, clock=clock) as found:
            timers = found.system.cell("notifier").timers
            assert timers is not None
            assert list(timers) == ["due"]
            clock.advance(found.system, 73)
            await until(found.system, lambda: not found.state.open, timeout_s=60)
    assert Counter(delivery.attempt for delivery in receiver.got) == {2: 10_000}
    assert receiver.most <= 100


def by_lot(
    chance: Random, errors: tuple[Exception, ...], taken: set[str]
) -> Callable[[Delivery], Exception | None]:
    """Take every other delivery, and raise one of `errors` at the rest."""

    def decide(delivery: Delivery) -> Exception | None:
        if errors and chance.random() < 0.5:
            return chance.choice(errors)
        taken.add(delivery.notification.id)
        return None

    return decide


@pytest.mark.req("NT-1")
@pytest.mark.req("NT-2")
@pytest.mark.parametrize("seed", range(4))
async def test_whatever_fails_and_crashes_nothing_that_was_accepted_is_lost(
    tmp_path: Path, seed: int
) -> None:
    """Told at least once to each sink, or a dead letter; to the session exactly once."""
    chance = Random(seed)
    receivers = [Receiver(), Receiver(), Receiver()]
    taken: list[set[str]] = [set(), set(), set()]
    errors = ((), (RuntimeError("no"),), (NotDelivered("no", tries=2, retry_after_s=3), OSError("no")))
    for receiver, some, heard in zip(receivers, errors, taken, strict=True):
        receiver.fail = by_lot(chance, some, heard)
    sinks = [receiver.sink(f"sink-{n}", attempts=4, concurrency=2) for n, receiver in enumerate(receivers)]
    clock, ended = ManualClock(NOW), 0
    for life in range(5):
        async with stage(tmp_path / f"home-{life}", *sinks, clock=clock, seed=seed + life) as found:
            for _ in range(chance.randrange(1, 12)):
                ended += 1
                await found.tell_ends(ended, ended)
                clock.advance(found.system, chance.choice((0.0, 0.5, 2.0, 60.0)))
            shutil.copytree(
                tmp_path / f"home-{life}", tmp_path / f"home-{life + 1}"
            )  # a crash at this moment
    async with stage(tmp_path / "home-5", *sinks, clock=clock) as found:

        async def settled() -> bool:
            clock.advance(found.system, 4000)
            return (await found.list()).queued == 0

        await until(found.system, settled, timeout_s=20)
        accepted = {f"task-{n}" for n in range(1, ended + 1)}
        for heard, sink in zip(taken, sinks, strict=True):
            dead = {each.about for each in found.state.dead.values() if each.sink == sink.name}
            assert heard | dead == accepted
        assert sorted(tasks_of(found.system, "manager")) == sorted(accepted)
    for receiver in receivers:
        assert len({delivery.id for delivery in receiver.got}) == ended
        assert max(delivery.attempt for delivery in receiver.got) <= 4


@pytest.mark.req("NT-2")
async def test_two_sinks_of_one_name_are_refused(tmp_path: Path) -> None:
    """Nobody could tell their deliveries apart."""
    receiver = Receiver()
    async with ActorSystem(tmp_path) as system:
        with pytest.raises(ValueError, match="different names, got ears, ears"):
            await system.spawn(NotifierActor, name="notifier", sinks=[receiver.sink(), receiver.sink()])
