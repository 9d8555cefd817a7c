"""What is written is read again as it was, or is refused before anything changed (rules T2, D1, J6)."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import trio
from pydantic import BaseModel, Field, ValidationError

from tests.unit.supervision.bank import Account, AccountState, Balance, Deposit, Noted, Read, until_reads
from understudy import (
    ActorSystem,
    Event,
    Frozen,
    InvalidMessage,
    Message,
    PersistentActor,
    Refused,
    Settings,
)

UNDECODABLE = "caf\udce9"
"""As Python reads a file name that is not UTF-8."""


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Failures that a test provokes are logged; they need not be shown."""
    caplog.set_level("CRITICAL", logger="understudy")


class Measure(Message[float]):
    """Note a number; the answer is the same one."""

    value: float


class Measured(Event):
    value: float = Field(alias="theValue")
    maybe: float | None = None


class Readings(BaseModel):
    values: list[float | None] = []


class Meter(PersistentActor[Readings]):
    """Keeps numbers."""

    def measure(self, message: Measure) -> float:
        self.emit(Measured(theValue=message.value, maybe=message.value))
        return message.value

    def measured(self, event: Measured) -> None:
        self.state.values += [event.value, event.maybe]


class Carry(Message[None]):
    """Pay, after an attempt to send what has no form as JSON."""


class Parcel(Message[None]):
    content: bytes


class Sender(PersistentActor[AccountState]):
    """Catches the error of a send."""

    def carry(self, _message: Carry) -> None:
        with pytest.raises(ValueError, match="utf-8"):
            self.send("a", Parcel(content=b"\xff"))
        self.send("a", Deposit(cents=1))

    def noted(self, event: Noted) -> None:
        self.state.notes.append(event.text)


class Open(Message[None]):
    """Refused, or failed, with a text that has no form as JSON."""

    refuse: bool = True


class Archive(Account):
    """Says why a file can't be opened."""

    def parcel(self, message: Parcel) -> None:
        """Nothing to do."""

    def open_it(self, message: Open) -> None:
        if message.refuse:
            raise Refused(UNDECODABLE)
        raise ValueError(UNDECODABLE)


class Clerk(Account):
    """Has an archive open things."""

    def deposit(self, message: Deposit) -> Balance:
        self.send("a", Open(refuse=message.cents == 1))
        return super().deposit(message)


class NewerAccount(Account):
    """The same, with another version of its state."""

    state_version = 2


@pytest.mark.rule("T2")
async def test_infinity_and_fields_with_an_alias_are_recovered_as_they_were(tmp_path: Path) -> None:
    """Null in the place of infinity would block the actor at its next start."""
    async with ActorSystem(tmp_path) as system:
        meter = await system.spawn(Meter, name="m")
        assert await meter.ask_async(Measure(value=math.inf), key="k") == math.inf
        await meter.ask_async(Measure(value=math.nan))
    async with ActorSystem(tmp_path) as system:
        meter = await system.spawn(Meter, name="m")
        assert await meter.ask_async(Measure(value=math.inf), key="k") == math.inf
        first, maybe, *rest = (await meter.ask_async(Measure(value=1)), *_values(system))[1:]
        assert (first, maybe) == (math.inf, math.inf)
        assert all(value is not None and math.isnan(value) for value in rest[:2])


def _values(system: ActorSystem) -> list[float | None]:
    meter = system.cell("m").actor
    assert isinstance(meter, Meter)
    return meter.state.values


@pytest.mark.rule("T2")
def test_a_subclass_with_fields_of_its_own_is_refused_where_its_base_is_declared() -> None:
    """Only the declared fields would be written, and the others be gone after a recovery."""

    class Shape(Frozen):
        """A base."""

    class Circle(Shape):
        radius: int

    class Drawn(Event):
        shape: Shape

    assert Drawn(shape=Shape()).shape == Shape()
    with pytest.raises(ValidationError, match="radius"):
        Drawn(shape=Circle(radius=1))


@pytest.mark.rule("D1")
async def test_a_send_that_can_not_be_encoded_leaves_no_gap_in_the_numbers(tmp_path: Path) -> None:
    """With a gap the receiver would take nothing from this sender any more."""
    async with ActorSystem(tmp_path) as system:
        await system.spawn(Archive, name="a")
        sender = await system.spawn(Sender, name="s")
        await sender.ask_async(Carry())
        await sender.ask_async(Carry())
        await until_reads(system, "a", 2)


@pytest.mark.rule("T5")
@pytest.mark.parametrize("refuse", [True, False])
async def test_an_error_that_has_no_form_as_json_is_written_with_escapes(
    tmp_path: Path, *, refuse: bool
) -> None:
    """A refusal, or the dead letter that a sender is told of, must not block or end anything."""
    settings = Settings(turn_retries=1)
    async with ActorSystem(tmp_path, settings=settings) as system:
        await system.spawn(Archive, name="a")
        clerk = await system.spawn(Clerk, name="c")
        await clerk.ask_async(Deposit(cents=1 if refuse else 2))
        await system.get("a").ask_async(Deposit(cents=7))
        await until_reads(system, "a", 7)
        if not refuse:
            with pytest.raises(ValueError, match="caf"):
                await system.get("a").ask_async(Open(refuse=False))
            assert "caf\\udce9" in (system.cell("a").status().last_failure or "")
    async with ActorSystem(tmp_path, settings=settings) as system:
        archive = await system.spawn(Archive, name="a")
        assert (await archive.ask_async(Read())).cents == 7
        clerk = await system.spawn(Clerk, name="c")
        await until_reads(system, "c", 1 if refuse else 2)
        with trio.fail_after(5):
            while not (told := system.cell("c").actor.state.notes):
                await trio.lowlevel.checkpoint()
        assert "caf\\udce9" in told[0]


class Mute(Exception):
    """One that fails when asked what it says."""

    def __str__(self) -> str:
        raise RuntimeError("mute")


class Silence(Message[None]):
    """Raise it, after an emit or before."""

    late: bool


class Silent(Account):
    """Fails without a word."""

    def silence(self, message: Silence) -> None:
        if message.late:
            self.emit(Noted(text="discarded"))
        raise Mute


@pytest.mark.rule("T3")
@pytest.mark.parametrize("late", [True, False])
async def test_an_error_without_a_text_ends_nothing_but_its_turn(tmp_path: Path, *, late: bool) -> None:
    """An error whose own `__str__` fails used to end the whole system."""
    async with ActorSystem(tmp_path) as system:
        account = await system.spawn(Silent, name="a")
        await account.ask_async(Deposit(cents=1))
        with pytest.raises(Mute):
            await account.ask_async(Silence(late=late))
        assert (await account.ask_async(Read())).turns == 1
        assert system.cell("a").status().last_failure == "Mute: its text can't be made (RuntimeError)"


@pytest.mark.rule("D3")
async def test_a_key_that_has_no_form_as_json_is_refused(tmp_path: Path) -> None:
    """A line with it could not be read again; nothing happens."""
    async with ActorSystem(tmp_path) as system:
        account = await system.spawn(Account, name="a")
        with pytest.raises(InvalidMessage, match=r"expected an idempotency key of whole characters"):
            await account.ask_async(Deposit(cents=1), key=UNDECODABLE)
        assert (await account.ask_async(Read())).cents == 0


@pytest.mark.rule("J6")
async def test_a_snapshot_that_does_not_fit_is_passed_over_for_the_lines(tmp_path: Path) -> None:
    """None is needed: another version of the state is made from the events."""
    async with ActorSystem(tmp_path, settings=Settings(snapshot_bytes=1024)) as system:
        account = await system.spawn(Account, name="a")
        for _ in range(40):
            await account.ask_async(Deposit(cents=1), key=None)
    assert list((tmp_path / "state" / "journals" / "a").glob("snapshot-*"))
    async with ActorSystem(tmp_path) as system:
        account = await system.spawn(NewerAccount, name="a")
        assert await account.ask_async(Read()) == Balance(cents=40, turns=40)
        await account.ask_async(Deposit(cents=1))


@pytest.mark.rule("T2")
def test_a_union_that_a_line_can_not_tell_apart_is_refused_when_the_class_is_made() -> None:
    """`b"ab"` would come back as `"ab"`. What JSON can tell apart is fine."""
    with pytest.raises(TypeError, match=r"Either\.value, got bytes \| str, which are all text"):

        class Either(Event):  # pyright: ignore[reportUnusedClass]
            value: tuple[bytes | str, ...]

    class Fine(Event):
        value: str | int | None
        other: bytes | None = None

    assert Fine(value=1).value == 1
