"""Wrong names, classes and arguments are refused in words; references and asks are typed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, assert_type

import pykka
import pytest

from tests.unit.supervision.bank import Account, Balance, Deposit, Deposited, Noted, Read
from understudy import (
    Actor,
    ActorRef,
    ActorSystem,
    ChildSpec,
    Future,
    Message,
    Refused,
    Supervisor,
    UnknownActor,
)
from understudy.protocols.base import nearest
from understudy.protocols.errors import NotPersistent, UnknownMessage


class Nobody(Message[None]):
    """A message that nobody handles."""


class Plain(Actor):
    """Has no `__init__` of its own, and handles nothing."""

    async def on_start(self) -> None:
        """Is accepted, as a plain one is."""

    def helper(self, of: Unknown) -> None:  # noqa: F821 # pyright: ignore[reportUndefinedVariable, reportUnknownParameterType]
        """Has an annotation that can't be resolved."""


class Threading(pykka.ThreadingActor):
    """An actor of another runtime."""


NOT_ACTORS: list[Any] = [Threading, pykka.Actor, object, int, Plain.on_start, "Plain", None]


def test_error_about_a_name_lists_the_nearest_five_and_how_many_more_there_are() -> None:
    """All are listed only where there are at most five."""
    many = [f"c{number}" for number in range(3000)]
    assert nearest("c3000", many).endswith(" and 2995 more")
    assert "c300, " in nearest("c3000", many)
    assert nearest("x", ["b", "a"]) == "a, b"
    assert nearest("x", []) == "none"


async def test_unknown_actor_among_many_does_not_name_them_all() -> None:
    """Other customers' names must not get into somebody's error."""
    async with ActorSystem() as system:
        for number in range(50):
            await system.spawn(Plain, name=f"customer-{number}")
        with pytest.raises(UnknownActor, match=r"and 4\d more") as refused:
            system.get("customer-999")
    assert str(refused.value).count("customer-") <= 6


async def test_arguments_that_nothing_reads_are_refused(tmp_path: Path) -> None:
    """The class has no `__init__`: spawned, and as a supervisor's child."""
    async with ActorSystem(tmp_path) as system:
        for kind in (Plain, Account):
            with pytest.raises(TypeError, match=f"no arguments for {kind.__name__}.*got: foo"):
                await system.spawn(kind, name="b", foo=1)
        child = ChildSpec("b", Plain, arguments={"foo": 1})
        with pytest.raises(TypeError, match="no arguments for Plain"):
            await system.spawn(Supervisor, name="s", children=[child])


@pytest.mark.parametrize("kind", NOT_ACTORS)
async def test_class_that_is_no_actor_of_ours_is_refused(kind: Any) -> None:
    """Spawned, and as a child; the error says of what a class has to be."""
    async with ActorSystem() as system:
        with pytest.raises(TypeError, match=r"expected a subclass of understudy\.Actor"):
            await system.spawn(kind, name="b")
        with pytest.raises(TypeError, match=r"expected a subclass of understudy\.Actor"):
            await system.spawn(Supervisor, name="s", children=[ChildSpec("b", kind)])


async def test_name_without_its_keyword_is_refused_with_what_to_write() -> None:
    """The first thing that somebody tries."""
    async with ActorSystem() as system:
        with pytest.raises(TypeError, match=r'spawn\(Plain, name="\.\.\."\)'):
            await system.spawn(Plain, "b")  # pyright: ignore[reportArgumentType]


def test_system_in_a_thread_refuses_the_same() -> None:
    """Its `spawn` and its `get`."""
    wrong: Any = Threading
    with ActorSystem.in_thread() as system:
        with pytest.raises(TypeError, match="by keyword"):
            system.spawn(Plain, "b")  # pyright: ignore[reportArgumentType]
        with pytest.raises(TypeError, match="expected a subclass"):
            system.spawn(wrong, name="b")
        with pytest.raises(TypeError, match="no arguments for Plain"):
            system.spawn(Plain, name="b", foo=1)
        system.spawn(Plain, name="plain")
        assert_type(system.get("plain", Plain), ActorRef[Plain])
        with pytest.raises(
            UnknownActor, match="class Account under the name 'plain', got one of class Plain"
        ):
            system.get("plain", Account)


async def test_unknown_message_names_no_method_of_ours(tmp_path: Path) -> None:
    """Only the user's own annotations that could not be resolved."""
    async with ActorSystem(tmp_path) as system:
        account = await system.spawn(Account, name="a")
        with pytest.raises(UnknownMessage) as refused:
            await account.ask_async(Nobody())
        assert "could not be resolved" not in str(refused.value)
        plain = await system.spawn(Plain, name="p")
        with pytest.raises(UnknownMessage, match=r"could not be resolved: helper\(Unknown\)$"):
            await plain.ask_async(Nobody())


async def test_ask_for_a_future_is_typed_and_takes_a_key(tmp_path: Path) -> None:
    """The same key gets the same reply and changes the state once."""
    async with ActorSystem(tmp_path) as system:
        account = await system.spawn(Account, name="a")
        first = account.ask(Deposit(cents=5), block=False, key="k")
        assert_type(first, Future[Balance])
        again = account.ask(Deposit(cents=5), block=False, key="k")
        assert await first == await again
        assert (await account.ask_async(Read())).cents == 5
        assert_type(system.get("a", Account), ActorRef[Account])
        assert system.get("a", Account).name == "a"
        with pytest.raises(UnknownActor, match="class Plain"):
            system.get("a", Plain)
        plain = await system.spawn(Plain, name="p")
        with pytest.raises(NotPersistent):
            plain.ask(Nobody(), block=False, key="k")


def test_blocking_ask_takes_a_key(tmp_path: Path) -> None:
    """As `ask_with_key` does."""
    with ActorSystem.in_thread(tmp_path) as system:
        account = system.spawn(Account, name="a")
        reply = account.ask(Deposit(cents=5), key="k")
        assert_type(reply, Balance)
        assert account.ask(Deposit(cents=5), key="k") == reply
        assert account.ask(Read()).cents == 5


async def test_proxy_can_not_call_a_method_that_applies_an_event(tmp_path: Path) -> None:
    """The state would change without a line; the error says what to do, and the actor lives on."""
    async with ActorSystem(tmp_path) as system:
        account = await system.spawn(Account, name="a")
        proxy: Any = account.proxy()
        for name, event in (("deposited", Deposited(cents=5)), ("noted", Noted(text="x"))):
            with pytest.raises(Refused, match=f"got a call of {name}.*self.emit"):
                await getattr(proxy, name)(event)
        assert (await account.ask_async(Read())).cents == 0
        await account.ask_async(Deposit(cents=5))
        assert (await account.ask_async(Read())).cents == 5
