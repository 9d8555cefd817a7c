"""Memory actors, both ways to embed, mailboxes and the scheduler (RT-1 to RT-5, rules S1 to S5)."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pykka
import pytest
import trio
import trio.testing

from understudy import (
    Actor,
    ActorStopped,
    ActorSystem,
    AskTimeout,
    ChildSpec,
    Future,
    HomeInUse,
    InvalidName,
    MailboxFull,
    Message,
    NameTaken,
    Stopping,
    Supervisor,
    UnderstudyError,
    UnknownActor,
    WouldDeadlock,
)
from understudy.protocols.lifecycle import ActorFailed, ActorStarted, DeadLetter, LifecycleEvent
from understudy.supervision.scheduler import IDLE_PUMPS, SLICE
from understudy.supervision.testing.clock import VirtualClock


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Failures that a test provokes are logged; they need not be shown."""
    caplog.set_level("CRITICAL", logger="understudy")


class Number(Message[int]):
    i: int = 0


class Wait(Message[int]):
    """Answered when somebody opens the gate."""


class Where(Message[str]):
    """In which context does the handler run?"""


class Boom(Message[None]):
    pass


class Relay(Message[int]):
    """Ask the next one, and so on."""

    depth: int


place: contextvars.ContextVar[str] = contextvars.ContextVar("place", default="nowhere")


class Echo(Actor):
    """Remembers numbers; never handles two messages at once."""

    def __init__(self, gate: trio.Event | None = None) -> None:
        super().__init__()
        self.seen: list[int] = []
        self.busy = False
        self.gate = gate

    async def number(self, message: Number) -> int:
        assert not self.busy, "re-entered"
        self.busy = True
        if message.i % 3 == 0:
            await trio.lowlevel.checkpoint()
        self.busy = False
        self.seen.append(message.i)
        return message.i

    async def wait(self, _message: Wait) -> int:
        if self.gate is not None:
            await self.gate.wait()
        return 1

    def where(self, _message: Where) -> str:
        return place.get()

    def boom(self, _message: Boom) -> None:
        msg = "boom"
        raise ValueError(msg)


class Link(Actor):
    """One of a chain of actors that ask each other."""

    def __init__(self, following: str | None) -> None:
        super().__init__()
        self.following = following

    async def relay(self, message: Relay) -> int:
        await trio.lowlevel.checkpoint()
        if self.following is None:
            return message.depth
        return await self.ask(self.following, Relay(depth=message.depth + 1))


class Small(Echo):
    mailbox_bound = 4


@pytest.mark.req("RT-1")
async def test_a_system_is_embedded_in_trio(tmp_path: Path) -> None:
    """Spawn, ask, stop by name; after the block everything has stopped and the home is free."""
    async with ActorSystem(tmp_path) as system:
        echo = await system.spawn(Echo, name="echo")
        assert await echo.ask_async(Number(i=7)) == 7
        assert system.get("echo") is echo
        await system.stop("echo")
        with pytest.raises(UnknownActor, match="'echo'"):
            system.get("echo")
    assert not echo.is_alive()
    async with ActorSystem(tmp_path):
        with pytest.raises(HomeInUse):
            async with ActorSystem(tmp_path):
                pytest.fail("two owners")


@pytest.mark.req("RT-1")
def test_a_system_is_embedded_in_ordinary_code_with_blocking_methods(tmp_path: Path) -> None:
    """The same names; two systems side by side in one process."""
    with ActorSystem.in_thread(tmp_path / "one") as one, ActorSystem.in_thread(tmp_path / "two") as two:
        first, second = one.spawn(Echo, name="echo"), two.spawn(Echo, name="echo")
        assert (first.ask(Number(i=1)), second.ask(Number(i=2), timeout=5)) == (1, 2)
        assert first.proxy().seen.get() == [1]
        assert [status.name for status in one.status().actors if status.name == "echo"] == ["echo"]
        future = first.ask(Number(i=3), block=False)
        assert isinstance(future, Future)
        assert future.get(timeout=5) == 3
        assert first.stop() is True
        assert first.stop() is False
        with pytest.raises(ActorStopped):
            first.tell(Number(i=4))
        with pytest.raises(HomeInUse), ActorSystem.in_thread(tmp_path / "two"):
            pytest.fail("two owners")
    with pytest.raises(ActorStopped):
        second.tell(Number(i=5))
    with pytest.raises(Stopping):
        two.spawn(Echo)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("understudy")]
    blocking = {name for name in vars(type(two)) if not name.startswith("_")}
    assert blocking <= set(dir(ActorSystem)), "a program that changes sides keeps its names"
    assert {"spawn", "get", "stop", "resume", "status", "shutdown", "subscribe"} <= blocking


@pytest.mark.req("RT-1")
@pytest.mark.parametrize("error", [ValueError("mine"), SystemExit(3), KeyboardInterrupt()])
async def test_the_error_of_a_block_comes_out_as_it_is(error: BaseException) -> None:
    """Not inside a group, as from a bare nursery: the exit code of a program depends on it."""

    async def fail() -> None:
        async with ActorSystem() as system:
            await system.spawn(Echo)
            raise error

    with pytest.raises(type(error)) as caught:
        await fail()
    assert caught.value is error


@pytest.mark.req("RT-3")
async def test_a_blocking_call_on_the_loops_own_thread_is_refused_instead_of_deadlocking() -> None:
    """With what to do instead; awaiting does not block the loop."""
    gate = trio.Event()
    async with ActorSystem() as system:
        echo = await system.spawn(Echo, gate=gate)
        with pytest.raises(WouldDeadlock, match=r"await ref\.ask_async"):
            echo.ask(Number())
        future = echo.ask(Wait(), block=False)
        with pytest.raises(WouldDeadlock, match="`await` the future"):
            future.get()
        with pytest.raises(WouldDeadlock):
            echo.stop()
        with pytest.raises(AskTimeout, match=r"no reply to Number within 0\.01 s"):
            await echo.ask_async(Number(), timeout_s=0.01)
        gate.set()
        assert await future == 1


@pytest.mark.req("RT-1")
async def test_the_end_of_one_system_leaves_the_guard_of_another_in_the_same_loop() -> None:
    """Two systems side by side in one loop: a blocking get is refused as long as one of them runs."""
    gate = trio.Event()
    async with ActorSystem() as system:
        echo = await system.spawn(Echo, gate=gate)
        async with ActorSystem():
            pass
        future = echo.ask(Wait(), block=False)
        with pytest.raises(WouldDeadlock):
            future.get()
        gate.set()
        assert await future == 1


@pytest.mark.req("RT-5")
async def test_tell_refuses_at_the_bound_and_tell_async_waits() -> None:
    """From the loop and from a foreign thread alike."""
    gate = trio.Event()
    async with ActorSystem() as system:
        small = await system.spawn(Small, gate=gate)
        small.tell(Wait())
        await trio.testing.wait_all_tasks_blocked()
        for i in range(4):
            small.tell(Number(i=i))
        with pytest.raises(MailboxFull, match="4 messages wait, the bound is 4"):
            small.tell(Number(i=9))
        with pytest.raises(MailboxFull):
            await trio.to_thread.run_sync(small.tell, Number(i=9))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(small.tell_async, Number(i=4))
            await trio.testing.wait_all_tasks_blocked()
            gate.set()
        assert await small.ask_async(Number(i=5)) == 5
        assert system.cell(small.name).actor.seen == [0, 1, 2, 3, 4, 5]


@pytest.mark.req("RT-5")
@pytest.mark.rule("S1")
async def test_what_other_threads_have_posted_counts_against_the_bound_before_it_is_taken_in() -> None:
    """A loop that is busy takes nothing in, and yet no thread can post without end."""
    async with ActorSystem() as system:
        small = await system.spawn(Small)
        outcomes: list[str] = []

        def tell_more_than_fits() -> None:
            for i in range(6):
                try:
                    small.tell(Number(i=i))
                    outcomes.append("taken")
                except MailboxFull:
                    outcomes.append("full")

        thread = threading.Thread(target=tell_more_than_fits)
        thread.start()
        thread.join(5)  # on the loop's own thread, on purpose: nothing is taken in meanwhile
        assert outcomes == ["taken"] * 4 + ["full"] * 2


@pytest.mark.req("RT-5")
@pytest.mark.rule("S5")
async def test_supervision_overtakes_messages_and_pykkas_stop_keeps_its_place() -> None:
    """`system.stop` goes before what waits; `ref.stop` after it."""
    async with ActorSystem() as system:
        polite = await system.spawn(Echo, name="polite")
        cell = system.cell("polite")
        for i in range(5):
            polite.tell(Number(i=i))
        assert await polite.stop(block=False) is True
        assert cell.actor.seen == [0, 1, 2, 3, 4]

        gate = trio.Event()
        await system.spawn(Echo, name="hasty", gate=gate)
        hasty, cell = system.get("hasty"), system.cell("hasty")
        hasty.tell(Wait())
        await trio.testing.wait_all_tasks_blocked()
        waiting = hasty.ask(Number(i=1), block=False)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(system.stop, "hasty")
            await trio.testing.wait_all_tasks_blocked()
            gate.set()
        with pytest.raises(ActorStopped):
            await waiting
        assert cell.actor.seen == []


@pytest.mark.rule("S1")
async def test_each_threads_order_is_kept_and_every_ask_is_answered() -> None:
    """Four threads tell and ask one actor, and stop it in the middle of it."""
    async with ActorSystem() as system:
        echo = await system.spawn(Echo, name="echo")
        errors: list[BaseException] = []

        def work(k: int) -> None:
            try:
                for i in range(100):
                    if i % 10 == 0:
                        assert echo.ask(Number(i=k * 1000 + i), timeout=5) == k * 1000 + i
                    else:
                        echo.tell(Number(i=k * 1000 + i))
                echo.ask(Number(i=k * 1000 + 999), timeout=5)
            except (AssertionError, UnderstudyError, pykka.Timeout) as error:
                errors.append(error)

        async with trio.open_nursery() as nursery:
            for k in range(4):
                nursery.start_soon(trio.to_thread.run_sync, work, k)
        assert errors == []
        seen = system.cell("echo").actor.seen
        for k in range(4):
            assert [i % 1000 for i in seen if i // 1000 == k] == [*range(100), 999]


@pytest.mark.rule("S1")
async def test_callbacks_after_the_end_do_nothing() -> None:
    """A late callback must not end trio, nor write to a descriptor that is closed."""
    async with ActorSystem() as system:
        scheduler = system.scheduler
        echo = await system.spawn(Echo)
    scheduler.call_soon(lambda: pytest.fail("called after the end"))
    with pytest.raises(ActorStopped):
        await trio.to_thread.run_sync(echo.tell, Number())
    async with ActorSystem():
        pass


@pytest.mark.rule("S2")
async def test_more_suspended_asks_than_pumps_do_not_deadlock() -> None:
    """Only idle pumps are capped: a chain of 50 asks needs 50 turns that wait at once."""
    async with ActorSystem() as system:
        for i in range(50):
            await system.spawn(Link, name=f"l{i}", following=f"l{i + 1}" if i < 49 else None)
        with trio.fail_after(5):
            assert await system.get("l0").ask_async(Relay(depth=0)) == 49
            await trio.testing.wait_all_tasks_blocked()
        idle = system.scheduler._idle  # pyright: ignore[reportPrivateUsage]
        assert 0 < len(idle) <= IDLE_PUMPS


@pytest.mark.rule("S3")
async def test_a_flood_of_messages_lets_other_tasks_run() -> None:
    """A pump yields by count: a task gets its turn long before two actors have stopped telling each other."""

    class Ping(Message[None]):
        left: int

    class Player(Actor):
        def ping(self, message: Ping) -> None:
            nonlocal played
            played += 1
            if message.left:
                self.send(self.name, Ping(left=message.left - 1))

    played, at = 0, list[int]()
    async with ActorSystem() as system:
        player = await system.spawn(Player, name="p")
        player.tell(Ping(left=20 * SLICE))

        async def other() -> None:
            for _ in range(3):
                await trio.lowlevel.checkpoint()
            at.append(played)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(other)
        with trio.fail_after(5):
            while played <= 20 * SLICE:
                await trio.lowlevel.checkpoint()
    assert at[0] < 10 * SLICE


@pytest.mark.rule("S4")
async def test_an_ask_runs_an_idle_actors_turn_in_the_actors_own_context() -> None:
    """Help first: no scheduler tick, and nothing of the asker's context leaks in."""
    async with ActorSystem() as system:
        echo = await system.spawn(Echo)
        place.set("the asker's")
        assert await echo.ask_async(Where()) == "nowhere"
        ticks = trio.lowlevel.current_statistics().tasks_runnable
        with trio.testing.assert_no_checkpoints():
            await echo.ask_async(Where())
        assert trio.lowlevel.current_statistics().tasks_runnable == ticks


class Go(Message[str]):
    """Where were we, before we go abroad?"""


class Traveller(Actor):
    async def go(self, _message: Go) -> str:
        before = place.get()
        place.set("abroad")
        await trio.lowlevel.checkpoint()
        return before


@pytest.mark.rule("T7")
async def test_what_an_async_turn_sets_in_its_context_is_gone_with_it() -> None:
    """The next turn of the same actor, and those of others, begin with the scheduler's own context."""
    async with ActorSystem() as system:
        travellers = [await system.spawn(Traveller) for _ in range(2)]
        assert [await one.ask_async(Go()) for one in (*travellers, *travellers)] == ["nowhere"] * 4


@pytest.mark.rule("S4")
async def test_an_ask_on_a_full_mailbox_waits() -> None:
    """It is answered when there is room again."""
    gate = trio.Event()
    async with ActorSystem() as system:
        small = await system.spawn(Small, gate=gate)
        small.tell(Wait())
        await trio.testing.wait_all_tasks_blocked()
        for i in range(4):
            small.tell(Number(i=i))
        replies: list[int] = []

        async def ask() -> None:
            replies.append(await small.ask_async(Number(i=9)))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            assert replies == []
            gate.set()
        assert replies == [9]


@pytest.mark.req("RT-4")
@pytest.mark.req("RT-8")
async def test_failures_dead_letters_and_starts_are_events_that_can_be_watched() -> None:
    """A failing actor is started anew under its reference; who has stopped leaves dead letters."""
    seen: list[LifecycleEvent] = []

    def broken(_event: LifecycleEvent) -> None:
        msg = "a subscriber's own bug"
        raise RuntimeError(msg)

    async with ActorSystem() as system:
        system.lifecycle.subscribe(broken)
        unsubscribe = system.lifecycle.subscribe(seen.append)
        echo = await system.spawn(Echo, name="echo")
        await echo.ask_async(Number(i=1))
        with pytest.raises(ValueError, match="boom"):
            await echo.ask_async(Boom())
        assert await echo.ask_async(Number(i=2)) == 2
        assert system.cell("echo").actor.seen == [2]
        echo.tell(Number(i=3))
        await system.stop("echo")
        kinds = {type(event) for event in seen}
        assert {ActorStarted, ActorFailed, DeadLetter} <= kinds
        (failed,) = [event for event in seen if isinstance(event, ActorFailed)]
        assert (failed.actor, failed.message, failed.error) == ("echo", "Boom", "ValueError: boom")
        assert system.status().dead_letters == 1
        count = len(seen)
        unsubscribe()
        await system.spawn(Echo)
        assert len(seen) == count


async def test_names_are_unique_and_can_be_folders() -> None:
    """A journal and journal lines carry them."""
    async with ActorSystem() as system:
        await system.spawn(Echo, name="echo")
        with pytest.raises(NameTaken, match="Echo \\(echo\\)"):
            await system.spawn(Echo, name="echo")
        for name in ("", "a/b", "../x", ".hidden", "ä", "x" * 101, "a~2"):
            with pytest.raises(InvalidName):
                await system.spawn(Echo, name=name)


async def test_what_start_raises_reaches_the_spawner_and_leaves_nothing() -> None:
    """A failing constructor or `on_start`; the name is free again."""

    class Bad(Actor):
        def __init__(self, how: str) -> None:
            super().__init__()
            self.how = how
            if how == "init":
                msg = "in init"
                raise ValueError(msg)

        async def on_start(self) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
            await trio.lowlevel.checkpoint()
            msg = "in on_start"
            raise ValueError(msg)

    async with ActorSystem() as system:
        for how in ("init", "on_start"):
            with pytest.raises(ValueError, match=f"in {how}"):
                await system.spawn(Bad, name="bad", how=how)
        assert "bad" not in [cell.name for cell in system.cells()]


def test_two_handlers_of_one_message_are_refused_when_the_class_is_made() -> None:
    """So is an event's handler in an actor without a journal."""
    with pytest.raises(TypeError, match="expected one handler of Number in Twice, got one and two"):

        class Twice(Actor):  # pyright: ignore[reportUnusedClass]
            def one(self, message: Number) -> None: ...
            def two(self, message: Number) -> None: ...


async def test_a_supervisor_is_found_by_name_and_shown_as_its_childrens_parent() -> None:
    """The status is a tree: parents before children."""
    async with ActorSystem() as system:
        await system.spawn(
            Supervisor,
            name="top",
            children=[ChildSpec(name="echo", actor=Echo), ChildSpec(name="b", actor=Echo)],
        )
        tree = {status.name: status.parent for status in system.status().actors}
        assert (tree["echo"], tree["b"]) == ("top", "top")
        names = [status.name for status in system.status().actors]
        assert names.index("top") < names.index("echo") < names.index("b")


class Tick(Message[None]):
    text: str = "tick"


class Alarm(Message[None]):
    delay_s: float | None = None
    period_s: float | None = None
    cancel: bool = False
    text: str = "tick"


class Hold(Message[None]):
    """Be busy for so long."""

    seconds: float


class Clockwork(Actor):
    def __init__(self, ticks: list[tuple[str, float]]) -> None:
        super().__init__()
        self.ticks = ticks

    def alarm(self, message: Alarm) -> None:
        if message.cancel:
            self.cancel_timer("t")
        else:
            self.start_timer("t", Tick(text=message.text), delay_s=message.delay_s, period_s=message.period_s)

    def tick(self, message: Tick) -> None:
        self.ticks.append((message.text, self.clock.monotonic()))

    async def hold(self, message: Hold) -> None:
        await trio.sleep(message.seconds)

    def boom(self, _message: Boom) -> None:
        msg = "boom"
        raise ValueError(msg)


@pytest.mark.req("RT-7")
@pytest.mark.rule("C1")
async def test_timers_tick_on_the_injected_clock_and_end_with_the_incarnation(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Once, periodically, replaced, cancelled, and gone after a restart."""
    del autojump_clock
    clock = VirtualClock()
    ticks: list[tuple[str, float]] = []
    async with ActorSystem(clock=clock) as system:
        begin = clock.monotonic()
        works = await system.spawn(Clockwork, ticks=ticks)
        await works.ask_async(Alarm(delay_s=5, text="replaced"))
        await works.ask_async(Alarm(delay_s=10, text="once"))
        await trio.sleep(30)
        assert [(text, at - begin) for text, at in ticks] == [("once", 10)]
        ticks.clear()
        await works.ask_async(Alarm(delay_s=1, period_s=2, text="often"))
        await trio.sleep(6)
        await works.ask_async(Alarm(cancel=True))
        await trio.sleep(10)
        assert [at - begin - 30 for _, at in ticks] == [1, 3, 5]
        ticks.clear()
        await works.ask_async(Alarm(delay_s=1, period_s=1))
        with pytest.raises(ValueError, match="boom"):
            await works.ask_async(Boom())
        await trio.sleep(10)
        assert ticks == []


@pytest.mark.req("RT-7")
@pytest.mark.rule("C1")
async def test_a_tick_of_a_cancelled_timer_that_is_queued_is_dropped(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The alarm rang when the message that cancels it, or replaces it, was waiting already."""
    del autojump_clock
    clock = VirtualClock()
    ticks: list[tuple[str, float]] = []
    async with ActorSystem(clock=clock) as system:
        works = await system.spawn(Clockwork, ticks=ticks)
        for message in (Alarm(cancel=True), Alarm(delay_s=5, text="second")):
            await works.ask_async(Alarm(delay_s=60, text="first"))
            timers = system.cell(works.name).timers
            assert timers is not None
            alarm = timers["t"].alarm
            assert alarm is not None
            works.tell(message)
            alarm.call()
            await trio.sleep(10)
        assert [text for text, _ in ticks] == ["second"]


@pytest.mark.req("RT-7")
@pytest.mark.rule("C1")
async def test_of_the_ticks_that_come_while_an_actor_is_busy_one_is_queued(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Else a slow actor would do nothing but catch up."""
    del autojump_clock
    clock = VirtualClock()
    ticks: list[tuple[str, float]] = []
    async with ActorSystem(clock=clock) as system:
        begin = clock.monotonic()
        works = await system.spawn(Clockwork, ticks=ticks)
        await works.ask_async(Alarm(delay_s=1, period_s=1))
        await works.ask_async(Hold(seconds=10.5))
        await trio.sleep(2)
        assert [at - begin for _, at in ticks] == [10.5, 11, 12]


@pytest.mark.req("RT-1")
async def test_a_system_whose_block_is_not_open_says_so() -> None:
    """Not as a missing attribute."""
    with pytest.raises(RuntimeError, match=r"`async with ActorSystem\(\.\.\.\) as system:`"):
        await ActorSystem().spawn(Actor)


@pytest.mark.req("RT-1")
def test_another_loop_than_trios_is_refused(tmp_path: Path) -> None:
    """Before a home is made, with what to use instead."""

    async def enter() -> None:
        async with ActorSystem(tmp_path / "home"):
            pass

    with ThreadPoolExecutor(1) as pool:  # in this thread playwright's loop may be running
        error = pool.submit(lambda: asyncio.run(enter())).exception()
    assert isinstance(error, RuntimeError)
    assert "in_thread" in str(error)
    assert list(tmp_path.iterdir()) == []
