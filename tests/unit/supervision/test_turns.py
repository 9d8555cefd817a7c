"""Turns (rules T1 to T7): one message, one line, and nothing leaves before it is durable."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, cast
from zlib import crc32

import jsonlines
import pytest
import trio
import trio.testing
from pydantic import BaseModel

from tests.unit.supervision.bank import (
    Account,
    BadReply,
    Balance,
    Deposit,
    Deposited,
    FailEarly,
    FailLate,
    Listener,
    Pay,
    Plan,
    Poison,
    Read,
    RefuseLate,
    SendPoison,
    Slow,
    until_reads,
)
from understudy import (
    Actor,
    ActorStopped,
    ActorSystem,
    AskCycle,
    AskTimeout,
    Event,
    Frozen,
    InvalidMessage,
    Message,
    NewerVersion,
    OutcomeUnknown,
    PersistentActor,
    Refused,
    ReplyNotEncodable,
    Settings,
    TurnOver,
    UnderstudyError,
    UnknownActor,
    UnknownMessage,
)
from understudy.protocols.lifecycle import ActorFailed, DeadLetter, LifecycleEvent, TurnDiscarded
from understudy.supervision.files import Files
from understudy.supervision.turns import PersistentCell


class Empty(BaseModel):
    """No state."""


pytestmark = pytest.mark.usefixtures("quiet")


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Failures that a test provokes are logged; they need not be shown."""
    caplog.set_level("CRITICAL", logger="understudy")


def lines(home: Path, name: str) -> list[dict[str, Any]]:
    """What the journal of `name` says."""
    found: list[dict[str, Any]] = []
    for path in sorted((home / "state" / "journals" / name).glob("*.jsonl")):
        with path.open() as file, jsonlines.Reader(file) as reader:
            found.extend(reader)
    return found


def watch(system: ActorSystem) -> list[LifecycleEvent]:
    """Collects the events of the system from now on."""
    seen: list[LifecycleEvent] = []
    system.lifecycle.subscribe(seen.append)
    return seen


@pytest.mark.req("JR-1")
@pytest.mark.rule("T1")
@pytest.mark.rule("J3")
async def test_a_turn_is_one_line_with_its_events_sends_and_cause(tmp_path: Path) -> None:
    """Events, sends and consumption of one message stand in one line, readable with jsonlines."""
    async with ActorSystem(tmp_path) as system:
        await system.spawn(Account, name="a")
        await system.spawn(Account, name="b")
        await system.get("a").ask_async(Deposit(cents=9))
        await system.get("a").ask_async(Pay(cents=4, to="b"))
        await until_reads(system, "b", 4)
    paid = lines(tmp_path, "a")[1]
    assert paid["events"] == [{"type": "Deposited", "v": 1, "data": {"cents": -4}}]
    assert paid["sends"] == [{"to": "b", "n": 1, "type": "Deposit", "data": {"cents": 4}}]
    (received,) = lines(tmp_path, "b")
    assert (received["from"], received["n"], received["cause"]) == ("a", 1, "a/2")
    assert list(paid)[-1] == "crc"
    assert paid["mark"] <= paid["seq"] - 1


@pytest.mark.rule("T1")
async def test_reading_and_refusing_make_no_line(tmp_path: Path) -> None:
    """A turn that changed nothing and came from outside is not journaled."""
    async with ActorSystem(tmp_path) as system:
        account = await system.spawn(Account, name="a")
        assert await account.ask_async(Read()) == Balance(cents=0)
        with pytest.raises(Refused, match="expected a positive amount, got 0"):
            await account.ask_async(Deposit(cents=0))
    assert lines(tmp_path, "a") == []


@pytest.mark.rule("T1")
@pytest.mark.req("JR-3")
async def test_an_actor_that_only_sends_recovers_too(tmp_path: Path) -> None:
    """Its lines have sends and no events."""

    class Forward(Message[None]):
        cents: int

    class Relay(PersistentActor[Empty]):
        def forward(self, message: Forward) -> None:
            self.send("a", Deposit(cents=message.cents))

    for turns in (1, 2):
        async with ActorSystem(tmp_path) as system:
            await system.spawn(Account, name="a")
            await (await system.spawn(Relay, name="relay")).ask_async(Forward(cents=5))
            assert (await until_reads(system, "a", 5 * turns)).turns == turns


@pytest.mark.rule("T2")
async def test_a_reply_is_what_it_was_when_the_turn_ended(tmp_path: Path) -> None:
    """A mutable reply is copied: it does not show a later turn's state, and can't change ours."""

    class Notes(BaseModel):
        texts: list[str] = []

    class Add(Message[Notes]):
        text: str

    class Added(Event):
        text: str

    class Book(PersistentActor[Notes]):
        def add(self, message: Add) -> Notes:
            self.emit(Added(text=message.text))
            return self.state

        def added(self, event: Added) -> None:
            self.state.texts.append(event.text)

    async with ActorSystem(tmp_path) as system:
        book = await system.spawn(Book, name="book")
        first = await book.ask_async(Add(text="one"))
        first.texts.append("mine")
        second = await book.ask_async(Add(text="two"))
    assert first.texts == ["one", "mine"]
    assert second.texts == ["one", "two"]


@pytest.mark.req("RT-4")
@pytest.mark.rule("T2")
def test_a_message_with_a_mutable_field_is_refused_when_its_class_is_made() -> None:
    """A list in a message could be changed after it was journaled."""
    with pytest.raises(TypeError, match=r"expected an immutable type for Bad\.items, got list"):

        class Bad(Message[None]):  # pyright: ignore[reportUnusedClass]
            items: list[int]

    class Inner(BaseModel):
        x: int

    with pytest.raises(TypeError, match="not frozen"):

        class Worse(Event):  # pyright: ignore[reportUnusedClass]
            inner: Inner | None

    class Good(Frozen):
        items: tuple[int, ...]

    assert Good(items=(1,)).items == (1,)


@pytest.mark.rule("T3")
async def test_failing_before_an_emit_changes_nothing(tmp_path: Path) -> None:
    """The asker gets the error; the same incarnation lives on."""
    async with ActorSystem(tmp_path) as system:
        account = await system.spawn(Account, name="a")
        with pytest.raises(ValueError, match="early"):
            await account.ask_async(FailEarly())
        assert await account.ask_async(Deposit(cents=1)) == Balance(cents=1, turns=1)
        (status,) = system.status().actors
        assert (status.incarnation, status.restarts) == (1, 0)
    assert len(lines(tmp_path, "a")) == 1


@pytest.mark.rule("T3")
async def test_failing_after_an_emit_discards_the_turn_and_what_it_sent(tmp_path: Path) -> None:
    """State and sends of the turn are gone; earlier turns that were still on their way are not."""
    async with ActorSystem(tmp_path) as system:
        seen = watch(system)
        account = await system.spawn(Account, name="a")
        other = await system.spawn(Account, name="b")
        for _ in range(20):
            account.tell(Deposit(cents=1))
        with pytest.raises(ValueError, match="late"):
            await account.ask_async(FailLate(to="b"))
        assert await account.ask_async(Pay(cents=5, to="b")) == Balance(cents=15, turns=21)
        await until_reads(system, "b", 5)
        assert await other.ask_async(Read()) == Balance(cents=5, turns=1)
        assert [event.actor for event in seen if isinstance(event, TurnDiscarded)] == ["a"]
    assert [send["n"] for line in lines(tmp_path, "a") for send in line["sends"]] == [1]
    assert len(lines(tmp_path, "a")) == 21


@pytest.mark.rule("T3")
async def test_a_refusal_after_an_emit_discards_the_turn_too(tmp_path: Path) -> None:
    """`Refused` promises that nothing happened, whenever it is raised."""
    async with ActorSystem(tmp_path) as system:
        account = await system.spawn(Account, name="a")
        with pytest.raises(Refused, match="after all"):
            await account.ask_async(RefuseLate())
        assert await account.ask_async(Read()) == Balance(cents=0)


@pytest.mark.rule("T3")
async def test_emit_and_send_outside_of_the_live_turn_are_refused(tmp_path: Path) -> None:
    """From a background task (also while a turn waits), another thread, and an old incarnation."""

    class Begin(Message[None]):
        pass

    class Hold(Message[None]):
        pass

    class Tricky(PersistentActor[Empty]):
        def begin(self, _message: Begin) -> None:
            self.start_task(self.work)

        async def hold(self, _message: Hold) -> None:
            await trio.sleep(0.02)

        def deposited(self, event: Deposited) -> None:
            del event

        async def work(self) -> None:
            await attempt(lambda: self.emit(Deposited(cents=1)))
            await attempt(lambda: self.send("t", Hold()))
            await trio.to_thread.run_sync(lambda: actors.append(self))

    outcomes: list[str] = []
    actors: list[Tricky] = []

    async def attempt(call: Callable[[], None]) -> None:
        await trio.lowlevel.checkpoint()
        try:
            call()
        except TurnOver as error:
            outcomes.append(str(error))
        else:
            outcomes.append("done")

    async with ActorSystem(tmp_path) as system:
        tricky = await system.spawn(Tricky, name="t")
        await tricky.ask_async(Begin())
        await tricky.ask_async(Hold())
        with trio.fail_after(5):
            while not actors:
                await trio.sleep(0.001)
        thread = threading.Thread(target=trio.run, args=(attempt, lambda: actors[0].emit(Deposited(cents=1))))
        thread.start()
        await trio.to_thread.run_sync(thread.join)
        await attempt(lambda: actors[0].emit(Deposited(cents=1)))
    assert len(outcomes) == 4
    assert all("expected" in outcome and "live turn" in outcome for outcome in outcomes)


class GatedFiles(Files):
    """Files whose fdatasync waits until somebody opens the gate; knows how much was synced."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.synced: dict[int, int] = {}

    def fdatasync(self, fd: int) -> None:
        self.gate.wait(5)
        size = self.size(fd)
        super().fdatasync(fd)
        self.synced[fd] = size


@pytest.mark.req("JR-2")
@pytest.mark.rule("T4")
async def test_nothing_leaves_before_the_disk_has_it(tmp_path: Path) -> None:
    """Replies, refusals of newer state, reads, sends, calls, tasks and timers wait for the watermark."""
    files, heard, left = GatedFiles(), list[int](), list[str]()

    class Go(Message[None]):
        pass

    class Rung(Message[None]):
        pass

    class Sender(PersistentActor[Empty]):
        def go(self, _message: Go) -> None:
            self.emit(Deposited(cents=1))
            self.send("ear", Deposit(cents=7))
            self.start_task(self.work)
            self.start_timer("t", Rung(), delay_s=0)
            self.then_run(lambda: left.append("call"))

        def rung(self, _message: Rung) -> None:
            left.append("timer")

        def deposited(self, event: Deposited) -> None:
            del event

        async def work(self) -> None:
            left.append("task")

    async with ActorSystem(tmp_path, files=files) as system:
        account = await system.spawn(Account, name="a")
        sender = await system.spawn(Sender, name="s")
        await system.spawn(Listener, name="ear", heard=heard)
        files.gate.clear()

        async def ask(message: Message[Any]) -> None:
            with suppress(Refused, ValueError):
                await account.ask_async(message)
            left.append(type(message).__name__)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, Deposit(cents=1))
            await trio.testing.wait_all_tasks_blocked()
            for message in (Read(), Deposit(cents=-1), FailEarly()):
                nursery.start_soon(ask, message)
            sender.tell(Go())
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert (left, heard) == ([], [])
            files.gate.set()
        await until_reads(system, "a", 1)
        with trio.fail_after(5):
            while len(left) < 7:
                await trio.sleep(0.001)
    assert sorted(left) == ["Deposit", "Deposit", "FailEarly", "Read", "call", "task", "timer"]
    assert heard == [7]


@pytest.mark.rule("T4")
async def test_a_timer_comes_back_when_the_turn_that_replaced_it_is_refused(tmp_path: Path) -> None:
    """Timers, tasks and calls of a discarded turn never were."""
    rung: list[str] = []

    class Arm(Message[None]):
        text: str
        fail: bool = False

    class Rung(Message[None]):
        text: str

    class Clockwork(PersistentActor[Empty]):
        def arm(self, message: Arm) -> None:
            self.start_timer("t", Rung(text=message.text), delay_s=0.02)
            if message.fail:
                self.start_task(self.work)
                self.then_run(lambda: rung.append("call"))
                msg = "no"
                raise Refused(msg)

        def rung(self, message: Rung) -> None:
            rung.append(message.text)

        async def work(self) -> None:
            rung.append("task")

    async with ActorSystem(tmp_path) as system:
        clockwork = await system.spawn(Clockwork, name="c")
        await clockwork.ask_async(Arm(text="first"))
        with pytest.raises(Refused):
            await clockwork.ask_async(Arm(text="second", fail=True))
        with trio.fail_after(5):
            while not rung:
                await trio.sleep(0.001)
    assert rung == ["first"]


@pytest.mark.rule("T5")
async def test_a_durable_message_that_is_refused_is_consumed_by_a_line(tmp_path: Path) -> None:
    """Else it would come back after a restart and be accepted then."""
    async with ActorSystem(tmp_path) as system:
        await system.spawn(Account, name="a")
        await system.spawn(Account, name="b")
        await system.get("a").ask_async(Pay(cents=-5, to="b"))
        with trio.fail_after(5):
            while not lines(tmp_path, "b"):
                await trio.sleep(0.001)
    (refused,) = lines(tmp_path, "b")
    assert (refused["from"], refused["n"], refused["events"]) == ("a", 1, [])
    assert refused["refused"]["code"] == "refused"
    async with ActorSystem(tmp_path) as system:
        await system.spawn(Account, name="a")
        assert await (await system.spawn(Account, name="b")).ask_async(Read()) == Balance(cents=0)


class Knock(Message[None]):
    """Changes nothing; told to another one, where one is named."""

    to: str = ""


class Door(PersistentActor[Empty]):
    def knock(self, message: Knock) -> None:
        if message.to:
            self.send(message.to, Knock())


@pytest.mark.rule("T5")
async def test_a_durable_message_that_changes_nothing_is_consumed_by_a_line(tmp_path: Path) -> None:
    """Without events, sends or an answer; so it does not come back after a restart."""
    async with ActorSystem(tmp_path) as system:
        for name in ("a", "b"):
            await system.spawn(Door, name=name)
        await system.get("a").ask_async(Knock(to="b"))
        with trio.fail_after(5):
            while not lines(tmp_path, "b"):
                await trio.sleep(0.001)
    async with ActorSystem(tmp_path) as system:
        for name in ("a", "b"):
            await system.spawn(Door, name=name)
        await trio.testing.wait_all_tasks_blocked(0.01)
    (consumed,) = lines(tmp_path, "b")
    assert (consumed["from"], consumed["n"], consumed["events"], consumed["sends"]) == ("a", 1, [], [])


@pytest.mark.rule("T5")
async def test_a_durable_message_that_keeps_failing_becomes_a_dead_letter_and_its_sender_is_told(
    tmp_path: Path,
) -> None:
    """It is tried again in its place, with backoff, and then consumed."""
    settings = Settings(turn_retries=3, retry_backoff_s=0.001)
    async with ActorSystem(tmp_path, settings=settings) as system:
        seen = watch(system)
        await system.spawn(Account, name="a")
        await system.spawn(Account, name="b")
        await system.get("a").ask_async(SendPoison(to="b"))
        await system.get("a").ask_async(Pay(cents=1, to="b"))
        await until_reads(system, "b", 1)
        with trio.fail_after(5):
            while not (notes := await system.get("a").ask_async(Plan())):
                await trio.sleep(0.001)
        assert notes == ("b could not take Poison: poison",)
        assert await system.get("b").ask_async(Plan()) == ()
        assert len([event for event in seen if isinstance(event, TurnDiscarded)]) == 3
        assert [event.message for event in seen if isinstance(event, DeadLetter)] == ["Poison"]
    assert [(line["from"], line["n"]) for line in lines(tmp_path, "b")] == [("a", 1), ("a", 2)]


class Ask(Message[Balance]):
    to: str
    emit_first: bool = False


class Asker(PersistentActor[Empty]):
    async def ask_other(self, message: Ask) -> Balance:
        if message.emit_first:
            self.emit(Deposited(cents=1))
        return await self.ask(message.to, Deposit(cents=1))

    async def chain(self, message: Pay) -> Balance:
        return await self.ask(message.to, Ask(to=self.name))

    def deposited(self, event: Deposited) -> None:
        del event


@pytest.mark.rule("T6")
async def test_an_ask_inside_a_turn_comes_before_the_first_emit(tmp_path: Path) -> None:
    """Else the turn's events would depend on a reply that a replay does not have."""
    async with ActorSystem(tmp_path) as system:
        asker = await system.spawn(Asker, name="asker")
        await system.spawn(Account, name="a")
        assert await asker.ask_async(Ask(to="a")) == Balance(cents=1, turns=1)
        with pytest.raises(TurnOver, match="before the first emit"):
            await asker.ask_async(Ask(to="a", emit_first=True))


class Patience(Message[None]):
    """Ask somebody who is slow."""

    to: str


class Twice(Message[None]):
    """Deposit a cent twice, by asking; from `via`, where it is named, as a durable message."""

    to: str
    via: str = ""


class Flaky(PersistentActor[Empty]):
    """Fails behind its asks, as often as it is told to."""

    failures: ClassVar[int] = 0

    async def twice(self, message: Twice) -> None:
        if message.via:
            self.send(message.via, Twice(to=message.to))
            return
        for _ in range(2):
            await self.ask(message.to, Deposit(cents=1))
        if Flaky.failures:
            Flaky.failures -= 1
            raise ValueError("behind the asks")

    async def patience(self, message: Patience) -> None:
        await self.ask(message.to, Slow(cents=1, wait_s=60))


@pytest.mark.rule("T6")
async def test_an_ask_inside_a_turn_that_is_tried_again_counts_once(tmp_path: Path) -> None:
    """Its key is made of actor, cause and ordinal: the same in each try, another one for each ask."""
    Flaky.failures = 2
    async with ActorSystem(tmp_path, settings=Settings(retry_backoff_s=0.001)) as system:
        for name, kind in (("a", Account), ("flaky", Flaky), ("first", Flaky)):
            await system.spawn(kind, name=name)
        await system.get("first").ask_async(Twice(to="a", via="flaky"))
        with trio.fail_after(5):
            while not lines(tmp_path, "flaky"):
                await trio.sleep(0.001)
        assert Flaky.failures == 0
        assert await system.get("a").ask_async(Read()) == Balance(cents=2, turns=2)
    assert [line["key"] for line in lines(tmp_path, "a")] == ["flaky/first/1/1", "flaky/first/1/2"]


@pytest.mark.rule("T6")
async def test_an_ask_inside_a_turn_waits_for_the_askers_own_watermark(tmp_path: Path) -> None:
    """What it says may depend on turns before it: nobody hears of them before they are on disk (rule T4)."""
    files, heard = GatedFiles(), list[int]()

    class Note(Message[None]):
        pass

    class Noter(PersistentActor[Empty]):
        def note(self, _message: Note) -> None:
            self.emit(Deposited(cents=1))

        async def ask_other(self, message: Ask) -> Balance:
            return await self.ask(message.to, Deposit(cents=1))

        def deposited(self, event: Deposited) -> None:
            del event

    async with ActorSystem(tmp_path, files=files) as system:
        await system.spawn(Listener, name="ear", heard=heard)
        noter = await system.spawn(Noter, name="noter")
        files.gate.clear()
        async with trio.open_nursery() as nursery:
            for message in (Note(), Ask(to="ear")):
                nursery.start_soon(noter.ask_async, message)
                await trio.testing.wait_all_tasks_blocked()
            assert heard == []
            files.gate.set()
        assert heard == [1]


@pytest.mark.rule("T6")
async def test_an_ask_inside_a_turn_has_a_deadline_also_when_it_names_none(tmp_path: Path) -> None:
    """Else an actor would take no message for as long as another one does not answer."""
    settings = Settings(ask_timeout_s=0.05, stop_timeout_s=0.05)
    async with ActorSystem(tmp_path, settings=settings) as system:
        await system.spawn(Account, name="a")
        flaky = await system.spawn(Flaky, name="flaky")
        with trio.fail_after(5), pytest.raises(AskTimeout):
            await flaky.ask_async(Patience(to="a"))


@pytest.mark.rule("T6")
async def test_an_ask_back_into_the_chain_is_refused(tmp_path: Path) -> None:
    """Both would wait for ever; the error names the way round."""
    async with ActorSystem(tmp_path) as system:
        asker = await system.spawn(Asker, name="asker")
        await system.spawn(Asker, name="second")
        with pytest.raises(AskCycle, match="asker → second → asker"), trio.fail_after(5):
            await asker.ask_async(Pay(cents=0, to="second"))
        with pytest.raises(AskCycle, match="asker → asker"), trio.fail_after(5):
            await asker.ask_async(Ask(to="asker"))


@pytest.mark.rule("T7")
async def test_while_an_async_turn_waits_no_other_message_is_taken_and_scopes_do_not_leak(
    tmp_path: Path,
) -> None:
    """One message at a time; a cancel scope that a handler left open fails its turn, not the pump."""

    class Leak(Message[None]):
        pass

    class Leaky(PersistentActor[Empty]):
        async def leak(self, _message: Leak) -> None:
            trio.CancelScope(deadline=trio.current_time() + 0.01).__enter__()
            await trio.lowlevel.checkpoint()

    async with ActorSystem(tmp_path) as system:
        account = await system.spawn(Account, name="a")
        replies: list[Balance] = []

        async def ask(message: Slow | Deposit) -> None:
            replies.append(await account.ask_async(message))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, Slow(cents=1))
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(ask, Deposit(cents=10))
        # (trio wakes tasks of one batch in any order)
        assert sorted(replies, key=lambda reply: reply.turns) == [
            Balance(cents=1, turns=1),
            Balance(cents=11, turns=2),
        ]

        leaky = await system.spawn(Leaky, name="l")
        with pytest.raises(RuntimeError, match="Cancel scope stack corrupted"):
            await leaky.ask_async(Leak())
        await trio.sleep(0.02)
        assert await account.ask_async(Slow(cents=1)) == Balance(cents=12, turns=3)


@pytest.mark.rule("T7")
@pytest.mark.rule("H3")
async def test_a_turn_that_outlives_the_stop_is_cancelled_and_discarded(tmp_path: Path) -> None:
    """Its asker learns that the outcome is unknown, and the journal has nothing of it."""
    settings = Settings(stop_timeout_s=0.05)
    async with ActorSystem(tmp_path, settings=settings) as system:
        account = await system.spawn(Account, name="a")
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                with pytest.raises(OutcomeUnknown):
                    await account.ask_async(Slow(cents=1, wait_s=60))

            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            await system.stop("a")
    assert lines(tmp_path, "a") == []


async def test_a_reply_that_cannot_be_copied_discards_the_turn(tmp_path: Path) -> None:
    """The error names actor, message and type; the state is as before."""
    async with ActorSystem(tmp_path) as system:
        account = await system.spawn(Account, name="a")
        with pytest.raises(ReplyNotEncodable, match="expected a reply to BadReply that can be copied"):
            await account.ask_async(BadReply())
        assert await account.ask_async(Read()) == Balance(cents=0)


@pytest.mark.req("RT-4")
async def test_bad_messages_are_refused_by_name_and_the_actor_lives_on(tmp_path: Path) -> None:
    """To whom it may concern: unknown type, unknown receiver, a receiver that does not handle it."""

    class Stranger(Message[None]):
        pass

    async with ActorSystem(tmp_path) as system:
        seen = watch(system)
        account = await system.spawn(Account, name="a")
        with pytest.raises(
            UnknownMessage, match=r"Account \(a\) does not handle Stranger; it handles .*Deposit"
        ):
            await account.ask_async(Stranger())
        with pytest.raises(UnknownActor, match="'nobody'"):
            await account.ask_async(Pay(cents=1, to="nobody"))
        await system.spawn(Asker, name="asker")
        with pytest.raises(UnknownMessage, match="does not handle Deposit"):
            await account.ask_async(Pay(cents=1, to="asker"))
        account.tell(Stranger())
        assert await account.ask_async(Deposit(cents=1)) == Balance(cents=1, turns=1)
        assert [event.message for event in seen if isinstance(event, DeadLetter)] == ["Stranger", "Stranger"]


@pytest.mark.req("RT-4")
@pytest.mark.parametrize("persistent", [True, False])
async def test_a_message_that_went_round_its_checks_is_refused_with_actor_type_and_field(
    tmp_path: Path, *, persistent: bool
) -> None:
    """To the sender and to the dead letters; what it broke on is no failure of the actor, which lives on."""
    made, copied = Deposit.model_construct(cents="ten"), Deposit(cents=1).model_copy(update={"cents": None})
    async with ActorSystem(tmp_path) as system:
        seen = watch(system)
        actor = await system.spawn(Account if persistent else Purse, name="a")
        for message, got in ((made, "'ten'"), (copied, "None"), (Deposit.model_construct(), "none")):
            with pytest.raises(InvalidMessage, match=rf"\(a\): Deposit is not valid: .*'cents'.*got {got}"):
                await actor.ask_async(message)
        if persistent:
            with pytest.raises(InvalidMessage, match="'cents'"):
                await actor.ask_async(made, key="k")
        actor.tell(made)
        assert await actor.ask_async(Deposit(cents=1)) == Balance(cents=1, turns=persistent)
        letters = [event.message for event in seen if isinstance(event, DeadLetter)]
        assert letters == ["Deposit"] * (5 if persistent else 4)
        assert not [event for event in seen if isinstance(event, ActorFailed)]


async def test_an_error_that_has_nothing_to_do_with_the_message_is_not_blamed_on_it(tmp_path: Path) -> None:
    """A default that pydantic did not check is no flaw of who made the message."""

    class Odd(Message[None]):
        share: float = cast("float", "unchecked")

    class Clumsy(Actor):
        def odd(self, message: Odd) -> None:
            raise RuntimeError(message.share)

    async with ActorSystem(tmp_path) as system:
        clumsy = await system.spawn(Clumsy, name="clumsy")
        with pytest.raises(RuntimeError, match="unchecked"):
            await clumsy.ask_async(Odd())


class Purse(Actor):
    """Deposits in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.cents = 0

    def deposit(self, message: Deposit) -> Balance:
        self.cents += message.cents
        return Balance(cents=self.cents)


async def test_a_persistent_actor_needs_a_home_and_a_state(tmp_path: Path) -> None:
    """Said when it is spawned, not when it first writes."""
    del tmp_path
    async with ActorSystem() as system:
        with pytest.raises(Exception, match=r"expected a system with a home for Account"):
            await system.spawn(Account, name="a")


@pytest.mark.req("JR-6")
async def test_an_event_of_a_newer_version_blocks_its_actor_with_its_place(tmp_path: Path) -> None:
    """What a newer program wrote is neither read nor cut off; the other actors start."""
    async with ActorSystem(tmp_path) as system:
        account = await system.spawn(Account, name="a")
        await account.ask_async(Deposit(cents=1))
        await account.ask_async(Deposit(cents=2))
    (segment,) = (tmp_path / "state" / "journals" / "a").glob("*.jsonl")
    first, second = segment.read_bytes().splitlines(keepends=True)
    body = second.replace(b'"v":1', b'"v":9').rpartition(b',"crc"')[0]
    segment.write_bytes(first + b'%b,"crc":"%08x"}\n' % (body, crc32(body)))
    before = segment.read_bytes()

    async with ActorSystem(tmp_path) as system:
        with pytest.raises(NewerVersion) as raised:
            await system.spawn(Account, name="a")
        place = f"{segment}, line 2, offset {len(first)}: expected Deposited up to version 1, got version 9"
        assert str(raised.value).startswith(place)
        assert await (await system.spawn(Account, name="b")).ask_async(Deposit(cents=3))
        (report,) = system.status().blocked
        assert (report.actor, report.advice) == ("a", "run the newer version of the program")
    assert segment.read_bytes() == before


@pytest.mark.rule("J6")
@pytest.mark.req("JR-3")
async def test_recovery_goes_on_from_a_snapshot_with_outbox_numbers_and_keys(tmp_path: Path) -> None:
    """Everything that lines before the snapshot said is in it."""
    settings = Settings(snapshot_bytes=1024)
    async with ActorSystem(tmp_path, settings=settings) as system:
        account = await system.spawn(Account, name="a")
        await system.spawn(Account, name="b")
        await account.ask_async(Deposit(cents=100), key="first")
        for _ in range(30):
            await account.ask_async(Pay(cents=1, to="b"))
        await until_reads(system, "b", 30)
        cell = system.cell("a")
        assert isinstance(cell, PersistentCell)
        await cell.journal.settled()
    assert list((tmp_path / "state" / "journals" / "a").glob("snapshot-*"))
    async with ActorSystem(tmp_path, settings=settings) as system:
        account = await system.spawn(Account, name="a")
        await system.spawn(Account, name="b")
        assert await account.ask_async(Read()) == Balance(cents=70, turns=31)
        assert await account.ask_async(Deposit(cents=100), key="first") == Balance(cents=100, turns=1)
        await account.ask_async(Pay(cents=1, to="b"))
        assert (await until_reads(system, "b", 31)).turns == 31


async def test_poison_told_at_most_once_is_a_dead_letter_at_once(tmp_path: Path) -> None:
    """Only durable messages are tried again."""
    async with ActorSystem(tmp_path) as system:
        seen = watch(system)
        account = await system.spawn(Account, name="a")
        account.tell(Poison())
        assert await account.ask_async(Read()) == Balance(cents=0)
        assert [event.message for event in seen if isinstance(event, DeadLetter)] == ["Poison"]


class Stamped(Event):
    """Something happened."""


class Stamp(Message[float]):
    """Let it happen; the reply is when it did."""


class Stamps(BaseModel):
    at: list[float] = []


class Clerk(PersistentActor[Stamps]):
    """Notes the times of its turns."""

    def stamp(self, _message: Stamp) -> float:
        self.emit(Stamped())
        self.compact()
        return self.state.at[-1]

    def stamped(self, _event: Stamped) -> None:
        self.state.at.append(self.turn_time)


@pytest.mark.rule("T2")
async def test_the_time_of_a_turn_is_that_of_its_line_also_in_a_replay(tmp_path: Path) -> None:
    """What applies an event may know when, and a replay sees the same."""
    async with ActorSystem(tmp_path, settings=Settings(snapshot_bytes=1 << 20)) as system:
        clerk = await system.spawn(Clerk, name="clerk")
        told = [await clerk.ask_async(Stamp()) for _ in range(3)]
    assert told == [line["ts"] / 1e6 for line in lines(tmp_path, "clerk")]
    for snapshot in (tmp_path / "state/journals/clerk").glob("snapshot-*"):
        snapshot.unlink()
    async with ActorSystem(tmp_path) as system:
        await system.spawn(Clerk, name="clerk")
        assert system.cell("clerk").actor.state.at == told


@pytest.mark.req("JR-5")
@pytest.mark.rule("J6")
async def test_an_actor_may_ask_for_a_snapshot_in_a_turn(tmp_path: Path) -> None:
    """It is of that turn, and published behind the watermark."""
    async with ActorSystem(tmp_path) as system:
        clerk = await system.spawn(Clerk, name="clerk")
        await clerk.ask_async(Stamp())
        with pytest.raises(TurnOver):
            system.cell("clerk").actor.compact()
        with pytest.raises(TurnOver):
            system.cell("clerk").actor.then_run(list)
    assert [path.name for path in (tmp_path / "state/journals/clerk").glob("snapshot-*")] == [
        "snapshot-0000000000000001.json"
    ]


@pytest.mark.rule("J3")
async def test_a_line_says_up_to_where_the_journal_was_durable_when_it_was_made(tmp_path: Path) -> None:
    """By that a later start tells damage from a torn write."""
    async with ActorSystem(tmp_path) as system:
        account = await system.spawn(Account, name="a")
        for _ in range(3):
            await account.ask_async(Deposit(cents=1))
    assert [line["mark"] for line in lines(tmp_path, "a")] == [0, 1, 2]


@pytest.mark.rule("H3")
async def test_stopping_an_actor_answers_everybody_who_waits_for_it(tmp_path: Path) -> None:
    """Those whose turn runs, and those whose message still waits in the mailbox."""
    errors: list[type[Exception]] = []
    async with ActorSystem(tmp_path, settings=Settings(stop_timeout_s=0.05)) as system:
        account = await system.spawn(Account, name="a")

        async def ask(message: Message[Balance]) -> None:
            try:
                await account.ask_async(message)
            except UnderstudyError as error:
                errors.append(type(error))

        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask, Slow(cents=1, wait_s=60))
                await trio.testing.wait_all_tasks_blocked()
                nursery.start_soon(ask, Deposit(cents=1))
                await trio.testing.wait_all_tasks_blocked()
                await system.stop("a")
    assert errors == [OutcomeUnknown, ActorStopped]


class Closed(Event):
    """The book was closed in order."""


class BookState(BaseModel):
    """How often it was closed in order."""

    closed: int = 0


class Book(PersistentActor[BookState]):
    """Notes that it stops; `torn` makes that fail afterwards."""

    def __init__(self, *, torn: bool = False) -> None:
        super().__init__()
        self._torn = torn

    async def on_stop(self) -> None:
        await trio.lowlevel.checkpoint()
        self.emit(Closed())
        if self._torn:
            raise ValueError("torn")

    def read(self, _message: Read) -> int:
        return self.state.closed

    def closed(self, _event: Closed) -> None:
        self.state.closed += 1


@pytest.mark.rule("T1")
async def test_a_stop_in_order_is_a_turn(tmp_path: Path) -> None:
    """What `on_stop` emits is durable when the actor has stopped; one that fails leaves no line (rule T3)."""
    for torn, before in ((False, 0), (True, 1), (False, 1)):
        async with ActorSystem(tmp_path) as system:
            book = await system.spawn(Book, name="book", torn=torn)
            assert await book.ask_async(Read(), timeout_s=5) == before
    causes = [line["cause"] for line in lines(tmp_path, "book")]
    assert causes == ["stop/1", "stop/1"]
