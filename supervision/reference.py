"""References: pykka's `ActorRef` with async additions, from any thread."""

from __future__ import annotations

from contextvars import ContextVar
from threading import Event as ThreadEvent
from threading import get_ident
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

import pykka
import trio
from pykka.messages import ProxySetAttr
from pykka.messages import _ActorStop as ActorStop  # pyright: ignore[reportPrivateUsage]
from trio.lowlevel import checkpoint

from understudy.protocols.errors import (
    ActorStopped,
    AskCycle,
    AskTimeout,
    InvalidMessage,
    NotPersistent,
    WouldDeadlock,
)
from understudy.supervision.futures import Future, TaskReply, ThreadReply
from understudy.supervision.mailbox import Asked
from understudy.supervision.scheduler import IDLE, PAUSED, SLICE, STOPPED

if TYPE_CHECKING:
    from collections.abc import Callable

    from understudy.protocols import Message
    from understudy.supervision.cell import Cell
    from understudy.supervision.mailbox import Envelope

A = TypeVar("A", bound=pykka.Actor)
R = TypeVar("R")

current_turn: ContextVar[Cell | None] = ContextVar("understudy_turn", default=None)
"""The cell whose async turn the running code belongs to; asks made there carry the chain (rule T6)."""

turn_chain: ContextVar[tuple[str, ...]] = ContextVar("understudy_chain", default=())
"""Names of the actors whose turns wait for that one, outermost first, itself last."""


class StoppedFlag:
    """pykka's `actor_stopped`, a `threading.Event` to look at; ours asks the cell instead.

    A real event costs 400 bytes an actor, and nearly nobody ever waits for it.
    """

    __slots__ = ("_cell",)

    def __init__(self, cell: Cell) -> None:
        self._cell = cell

    def is_set(self) -> bool:
        """Whether the actor has stopped."""
        return self._cell.has_stopped()

    def set(self) -> None:
        """Mark the actor as stopped; only pykka's own code calls this."""
        self._cell.state = STOPPED

    def wait(self, timeout: float | None = None) -> bool:
        """Block until the actor has stopped; False when `timeout` seconds went by first."""
        if not self.is_set():
            event = ThreadEvent()
            self._cell.scheduler.call_soon(lambda: self._cell.when_stopped(event))
            event.wait(timeout)
        return self.is_set()


class ActorProxy(pykka.ActorProxy[A]):
    """pykka's proxy, and `await proxy.set(name, value)` for code that runs on the loop."""

    def __getattr__(self, name: str) -> Any:
        if name == "set" and ("set",) not in self._known_attrs:
            return self._set
        return super().__getattr__(name)

    async def _set(self, name: str, value: Any) -> None:
        """Assign an attribute of the actor and wait until it is done; `proxy.name = value` would block.

        Raises:
            Exception: what the assignment raised, such as `Refused` of a persistent actor.
        """
        path = (*self._attr_path, name)
        await self.actor_ref.ask(ProxySetAttr(attr_path=path, value=value), block=False)


class ActorRef(pykka.ActorRef[A]):
    """What everybody but the actor itself holds of an actor. Survives the actor's restarts."""

    def __init__(self, cell: Cell) -> None:
        # Not pykka's __init__: what it stores per reference is derived from the cell here.
        self._cell = cell

    def __str__(self) -> str:
        return str(self._cell)

    @property
    def name(self) -> str:
        """The name that the actor was spawned under."""
        return self._cell.name

    @property
    def actor_class(self) -> type[A]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The actor's class."""
        return self._cell.actor_class  # pyright: ignore[reportReturnType]

    @property
    def actor_urn(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """pykka's unique name."""
        return self._cell.urn

    @property
    def actor_inbox(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The mailbox."""
        return self._cell.inbox

    @property
    def actor_stopped(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether the actor has stopped, as pykka's event."""
        return StoppedFlag(self._cell)

    @property
    def _actor_weakref(self) -> Callable[[], Any]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return lambda: self._cell.actor

    def is_alive(self) -> bool:
        """Whether the actor has not stopped; a moment later that may be different."""
        return not self._cell.has_stopped()

    def proxy(self) -> ActorProxy[A]:
        """A proxy of the actor, as pykka's; see `ActorProxy`."""
        return ActorProxy(actor_ref=self)

    def tell(self, message: Any) -> None:
        """Put a message into the mailbox; never waits, from any thread.

        Raises:
            MailboxFull: the bound is reached.
            ActorStopped: the actor has stopped.
        """
        cell = self._cell
        if get_ident() == cell.scheduler.ident:
            cell.put((message, None, "", 0, b"", None))
        else:
            cell.scheduler.post(cell, (message, None, "", 0, b"", None))

    async def tell_async(self, message: Any) -> None:
        """Put a message into the mailbox; waits for room. A trio checkpoint only when it waits.

        Raises:
            ActorStopped: the actor has stopped.
        """
        cell = self._cell
        inbox = cell.inbox
        if get_ident() != cell.scheduler.ident:
            self._on_loop("tell_async")
        if cell.state >= PAUSED or len(inbox) + inbox.foreign >= cell.bound:
            await cell.wait_for_room()
            cell.put((message, None, "", 0, b"", None))
            return
        # `put`, written out: the second call would be a fifth of the price of a tell.
        inbox.append((message, None, "", 0, b"", None))
        if cell.state == IDLE:
            cell.scheduler.ready(cell)

    @overload
    async def ask_async(
        self, message: Message[R], *, timeout_s: float | None = None, key: str | None = None
    ) -> R: ...
    @overload
    async def ask_async(
        self, message: Any, *, timeout_s: float | None = None, key: str | None = None
    ) -> Any: ...
    async def ask_async(self, message: Any, *, timeout_s: float | None = None, key: str | None = None) -> Any:
        """Send a message and await its reply, in the system's loop.

        Args:
            message: what to ask.
            timeout_s: seconds to wait; None waits for ever.
            key: idempotency key: a persistent actor answers the same key with the same reply, also
                after a restart, and changes state once (JR-4).

        Raises:
            AskTimeout: no reply in time; the message may still be handled.
            ActorStopped: the actor has stopped, or stopped before it handled the message.
            KeyReused: the key came before with another message.
            NotPersistent: a key, and an actor without a journal.
            OutcomeUnknown: the turn was dropped before it was durable.
            Exception: what the handler raised.
        """
        cell = self._cell
        turn = current_turn.get()
        if turn is not None:
            self._on_loop("ask_async")
            return await self._ask_from_turn(turn, message, timeout_s, key)
        reply = TaskReply()
        asked = None if key is None else Asked(self._usable_key(key), ())
        return await self._ask((message, reply, "", 0, b"", asked), reply, cell, timeout_s)

    async def _ask(self, envelope: Envelope, reply: TaskReply, cell: Cell, timeout_s: float | None) -> Any:
        scheduler = cell.scheduler
        if get_ident() != scheduler.ident:
            self._on_loop("ask_async")
        inbox = cell.inbox
        if timeout_s is not None:
            with trio.move_on_after(timeout_s):
                return await self._ask(envelope, reply, cell, None)
            msg = f"{cell}: no reply to {type(envelope[0]).__name__} within {timeout_s} s"
            raise AskTimeout(msg)
        if len(inbox) + inbox.foreign >= cell.bound:
            await cell.wait_for_room()
        # An actor ahead of the disk can't answer before the watermark moves: helping it would only split
        # what its next append could take together (measured with 256 callers: a sixth).
        if scheduler.leader is None and not cell.is_ahead():
            scheduler.leader = scheduler  # so that put() does not wake a pump for what we do ourselves
            try:
                cell.put(envelope)
            finally:
                scheduler.leader = None
                scheduler.help_until(reply)
        else:
            cell.put(envelope)
        if not reply.done:
            scheduler.spent = 0
            return await reply.wait()
        if scheduler.spent >= SLICE:
            scheduler.spent = 0
            await checkpoint()
        return reply.get()

    async def _ask_from_turn(self, turn: Cell, message: Any, timeout_s: float | None, key: str | None) -> Any:
        """An ask made inside an async turn: it carries the chain of turns that wait (rule T6)."""
        cell = self._cell
        chain = turn_chain.get()
        if cell.name in chain and cell.system is turn.system:
            path = " → ".join((*chain, cell.name))
            msg = f"expected an actor that does not wait for {turn}, got {cell}: {path}; use send instead"
            raise AskCycle(msg)
        timeout_s, turn_key = await turn.before_ask(timeout_s)
        key = self._usable_key(key) if key is not None else turn_key if cell.persistent else None
        reply = TaskReply()
        return await self._ask((message, reply, "", 0, b"", Asked(key, chain)), reply, cell, timeout_s)

    @overload
    def ask(
        self,
        message: Message[R],
        *,
        block: Literal[False],
        timeout: float | None = None,
        key: str | None = None,
    ) -> Future[R]: ...
    @overload
    def ask(
        self, message: Any, *, block: Literal[False], timeout: float | None = None, key: str | None = None
    ) -> Future[Any]: ...
    @overload
    def ask(
        self,
        message: Message[R],
        *,
        block: Literal[True] = True,
        timeout: float | None = None,
        key: str | None = None,
    ) -> R: ...
    @overload
    def ask(
        self, message: Any, *, block: Literal[True], timeout: float | None = None, key: str | None = None
    ) -> Any: ...
    @overload
    def ask(
        self, message: Any, *, block: bool = True, timeout: float | None = None, key: str | None = None
    ) -> Any: ...
    def ask(  # pyright: ignore[reportIncompatibleMethodOverride] - a typed message has a typed reply
        self, message: Any, *, block: bool = True, timeout: float | None = None, key: str | None = None
    ) -> Any:
        """pykka's ask: blocks for the reply, or returns a `Future` with `block=False`.

        Args:
            message: what to ask.
            block: whether to wait here.
            timeout: seconds to wait.
            key: idempotency key; see `ask_async`.

        Raises:
            InvalidMessage, NotPersistent: a key that can't be one, or an actor without a journal.
            WouldDeadlock: a blocking ask on the loop's own thread; `await ask_async(...)` there.
            pykka.Timeout: no reply within `timeout` seconds.
        """
        cell = self._cell
        asked = None if key is None else Asked(self._usable_key(key), ())
        if not block:
            future: Future[Any] = Future()
            self._submit((message, future, "", 0, b"", asked))
            return future
        if get_ident() == cell.scheduler.ident:
            msg = f"expected another thread than the loop's to ask {cell} in: `await ref.ask_async(...)`"
            raise WouldDeadlock(msg)
        reply = ThreadReply()
        cell.scheduler.post(cell, (message, reply, "", 0, b"", asked))
        return reply.wait(timeout)

    def ask_with_key(self, message: Message[R], *, key: str, timeout: float | None = None) -> R:
        """A blocking ask with an idempotency key, from a foreign thread; see `ask_async`."""
        self._off_loop("ask_with_key")
        reply = ThreadReply()
        self._cell.scheduler.post(self._cell, (message, reply, "", 0, b"", Asked(self._usable_key(key), ())))
        return reply.wait(timeout)

    @overload
    def stop(self, *, block: Literal[True], timeout: float | None = None) -> bool: ...
    @overload
    def stop(self, *, block: Literal[False], timeout: float | None = None) -> Future[bool]: ...
    @overload
    def stop(self, *, block: bool = True, timeout: float | None = None) -> bool | Future[bool]: ...
    def stop(self, *, block: bool = True, timeout: float | None = None) -> bool | Future[bool]:
        """Ask the actor to stop when it has handled what waits before (pykka's contract).

        True when it stopped now, False when it had stopped before. On the loop's thread use
        `block=False` and await the future, or `await system.stop(name)`, which overtakes the mailbox.
        """
        if block:
            self._off_loop("a blocking stop")
        future: Future[bool] = Future()
        self._submit((ActorStop(), future, "", 0, b"", None))
        return future.get(timeout=timeout) if block else future

    def _usable_key(self, key: str) -> str:
        """An idempotency key that this actor can keep: 1 to 256 characters, in a journal."""
        if not 0 < len(key) <= 256:  # noqa: PLR2004
            msg = f"expected an idempotency key of 1 to 256 characters, got {len(key)}"
            raise InvalidMessage(msg)
        if not self._cell.persistent:
            msg = f"expected a persistent actor for a message with an idempotency key, got {self._cell}"
            raise NotPersistent(msg)
        return key

    def _submit(self, envelope: Envelope) -> None:
        """Put an envelope with a future into the mailbox; what goes wrong goes into the future."""
        cell, reply = self._cell, envelope[1]
        assert reply is not None
        try:
            if get_ident() == cell.scheduler.ident:
                cell.put(envelope)
            else:
                cell.scheduler.post(cell, envelope)
        except ActorStopped as error:
            if isinstance(envelope[0], ActorStop):
                reply.resolve(False)  # noqa: FBT003
            else:
                reply.resolve(None, error)
        except Exception as error:  # noqa: BLE001 - pykka's asks fail in the future, never in the call
            reply.resolve(None, error)

    def _on_loop(self, what: str) -> None:
        if get_ident() != self._cell.scheduler.ident:
            msg = f"expected the loop's own thread for {what} of {self._cell}, got another: ask() or tell()"
            raise WouldDeadlock(msg)

    def _off_loop(self, what: str) -> None:
        if get_ident() == self._cell.scheduler.ident:
            msg = f"expected another thread than the loop's for {what} of {self._cell}: await the async form"
            raise WouldDeadlock(msg)
