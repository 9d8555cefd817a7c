"""JR-6: what an older version of the program wrote is read; what a newer one wrote is refused."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from pydantic import BaseModel

from understudy import ActorSystem, Event, Message, NewerVersion, PersistentActor, RecordNotUnderstood
from understudy.protocols.upcasting import by_name, upcast

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.req("JR-6")


class Read(Message[Any]):
    """The state."""


class Deposit(Message[None]):
    amount: int


class Deposited(Event):
    """The first version: euros."""

    amount: int


class Purse(BaseModel):
    amount: int = 0


class Account(PersistentActor[Purse]):
    """Version 1 of the program."""

    def deposit(self, message: Deposit) -> None:
        self.emit(Deposited(amount=message.amount))

    def read(self, message: Read) -> Purse:
        del message
        return self.state

    def deposited(self, event: Deposited) -> None:
        self.state.amount += event.amount


class DepositedInCents(Event):
    """The second version: cents."""

    kind: ClassVar[str] = "Deposited"
    version: ClassVar[int] = 2
    cents: int

    @classmethod
    def upcast(cls, version: int, data: dict[str, Any]) -> dict[str, Any]:
        assert version == 1
        return {"cents": data["amount"] * 100}


class PurseInCents(BaseModel):
    cents: int = 0


class Account2(PersistentActor[PurseInCents]):
    """Version 2 of the program: the state is replayed."""

    state_version = 2

    def deposit(self, message: Deposit) -> None:
        self.emit(DepositedInCents(cents=message.amount))

    def read(self, message: Read) -> PurseInCents:
        del message
        return self.state

    def deposited(self, event: DepositedInCents) -> None:
        self.state.cents += event.cents


class Paid(Event):
    """The third version: another name, and a currency."""

    version: ClassVar[int] = 3
    was: ClassVar[tuple[str, ...]] = ("Deposited",)
    cents: int
    currency: str

    @classmethod
    def upcast(cls, version: int, data: dict[str, Any]) -> dict[str, Any]:
        if version == 1:
            return {"cents": data["amount"] * 100}
        return {**data, "currency": "EUR"}


class PurseByCurrency(BaseModel):
    cents: dict[str, int] = {}


class Account3(PersistentActor[PurseByCurrency]):
    """Version 3 of the program: snapshots are carried over too."""

    state_version = 3

    @classmethod
    def upcast_state(cls, version: int, data: dict[str, Any]) -> dict[str, Any] | None:
        if version == 1:
            return {"cents": data["amount"] * 100}
        return {"cents": {"EUR": data["cents"]}}

    def deposit(self, message: Deposit) -> None:
        self.emit(Paid(cents=message.amount, currency="USD"))

    def read(self, message: Read) -> PurseByCurrency:
        del message
        return self.state

    def paid(self, event: Paid) -> None:
        cents = self.state.cents
        cents[event.currency] = cents.get(event.currency, 0) + event.cents


async def live(home: Path, kind: type[PersistentActor[Any]], *amounts: int, compact: bool = False) -> Any:
    """Run a version of the program: some deposits, and the state at the end."""
    async with ActorSystem(home) as system:
        ref = await system.spawn(kind, name="a")
        for amount in amounts:
            await ref.ask_async(Deposit(amount=amount))
        if compact:
            cell: Any = system.cell("a")
            cell.compacting = True
            await ref.ask_async(Deposit(amount=0))
        return (await ref.ask_async(Read())).model_copy(deep=True)


async def test_events_of_older_versions_are_upcast_step_by_step(tmp_path: Path) -> None:
    """Version 1's lines by version 2's classes, both by version 3's under another name; new lines between."""
    assert (await live(tmp_path, Account, 1, 2)).amount == 3
    assert (await live(tmp_path, Account2, 5)).cents == 305
    assert (await live(tmp_path, Account3, 7)).cents == {"EUR": 305, "USD": 7}
    assert (await live(tmp_path, Account3)).cents == {"EUR": 305, "USD": 7}


async def test_snapshot_of_an_older_version_is_upcast_or_passed_over(tmp_path: Path) -> None:
    """Version 2 says nothing of version 1's state and replays; version 3 takes both versions' snapshots."""
    await live(tmp_path, Account, 1, 2, compact=True)
    folder = tmp_path / "state" / "journals" / "a"
    assert [path.name for path in folder.glob("snapshot*")] == ["snapshot-0000000000000003.json"]
    assert (await live(tmp_path, Account2)).cents == 300
    assert (await live(tmp_path, Account3, 5)).cents == {"EUR": 300, "USD": 5}
    segment = next(folder.glob("*-0001.jsonl"))
    segment.write_bytes(segment.read_bytes().replace(b'"amount":2', b'"amount":9'))
    assert (await live(tmp_path, Account3)).cents == {"EUR": 300, "USD": 5}, "the snapshot was used"


async def test_record_or_snapshot_of_a_newer_version_refuses_and_changes_nothing(tmp_path: Path) -> None:
    """Only that actor: another one of the same program starts. The newer program goes on afterwards."""
    await live(tmp_path, Account2, 1)
    await live(tmp_path, Account2, 1, compact=True)
    folder = tmp_path / "state" / "journals" / "a"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    async with ActorSystem(tmp_path) as system:
        with pytest.raises(NewerVersion, match=r"line 1.*expected Deposited up to version 1, got version 2"):
            await system.spawn(Account, name="a")
        assert [halt.actor for halt in system.status().blocked] == ["a"]
        other = await system.spawn(Account, name="b")
        await other.ask_async(Deposit(amount=1))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert (await live(tmp_path, Account2, 3)).cents == 5


class Broken(Event):
    kind: ClassVar[str] = "Deposited"
    version: ClassVar[int] = 2
    cents: int

    @classmethod
    def upcast(cls, version: int, data: dict[str, Any]) -> dict[str, Any]:
        if data["amount"] == 1:
            return {"cents": 100}
        raise ValueError(version)


class AccountWithBrokenUpcast(PersistentActor[PurseInCents]):
    state_version = 2

    def broken(self, event: Broken) -> None:
        self.state.cents += event.cents


async def test_upcast_that_fails_blocks_with_the_line_that_it_failed_on(tmp_path: Path) -> None:
    """It is the program's mistake: nothing is changed, and a mended program goes on."""
    await live(tmp_path, Account, 1, 2)
    async with ActorSystem(tmp_path) as system:
        with pytest.raises(
            RecordNotUnderstood, match=r"line 2.*Broken.upcast failed on version 1: ValueError"
        ):
            await system.spawn(AccountWithBrokenUpcast, name="a")
    assert (await live(tmp_path, Account2)).cents == 300


class Note(Message[None]):
    text: str


class NoteWithTags(Message[None]):
    kind: ClassVar[str] = "Remark"
    was: ClassVar[tuple[str, ...]] = ("Note",)
    version: ClassVar[int] = 2
    text: str
    tags: tuple[str, ...]

    @classmethod
    def upcast(cls, version: int, data: dict[str, Any]) -> dict[str, Any]:
        data["tags"] = [f"from-{version}"]
        return data


class Noted(Event):
    text: str
    tags: tuple[str, ...] = ()


class Notes(BaseModel):
    notes: list[str] = []


class Reader(PersistentActor[Notes]):
    def note(self, message: Note) -> None:
        self.emit(Noted(text=message.text))

    def noted(self, event: Noted) -> None:
        self.state.notes.append(event.text)


class NewReader(PersistentActor[Notes]):
    def note(self, message: NoteWithTags) -> None:
        self.emit(Noted(text=message.text, tags=message.tags))

    def noted(self, event: Noted) -> None:
        self.state.notes.append("/".join((event.text, *event.tags)))

    def read(self, message: Read) -> tuple[str, ...]:
        del message
        return tuple(self.state.notes)


class Writer(PersistentActor[Notes]):
    def read(self, message: Read) -> None:
        self.send("reader", Note(text=type(message).__name__))


async def test_message_that_waits_is_upcast_when_it_is_sent_again(tmp_path: Path) -> None:
    """The receiver was away while the program changed: renamed and with a new field, it still arrives."""
    async with ActorSystem(tmp_path) as system:
        await system.spawn(Reader, name="reader")
        writer = await system.spawn(Writer, name="writer")
        await system.stop("reader")
        await writer.ask_async(Read())
    async with ActorSystem(tmp_path) as system:
        await system.spawn(Writer, name="writer")
        reader = await system.spawn(NewReader, name="reader")
        assert await reader.ask_async(Read()) == ("Read/from-1",)


def test_two_classes_can_not_have_had_the_same_name() -> None:
    """A line could not tell which of them it means."""
    with pytest.raises(TypeError, match="expected one class for the name 'Deposited'"):
        by_name([Deposited, Paid])


def test_upcasts_of_any_length_are_applied_in_order() -> None:
    """Chains of random length, entered at a random version."""
    chance = Random(7)
    for _ in range(50):
        last = chance.randint(1, 8)

        class Chained(Event):
            version: ClassVar[int] = last
            steps: tuple[int, ...]

            @classmethod
            def upcast(cls, version: int, data: dict[str, Any]) -> dict[str, Any]:
                return {"steps": [*data["steps"], version]}

        first = chance.randint(1, last)
        assert upcast(Chained, first, {"steps": []}) == {"steps": list(range(first, last))}
        with pytest.raises(NewerVersion):
            upcast(Chained, last + 1, {"steps": []})
