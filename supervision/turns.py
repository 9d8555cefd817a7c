"""Turns: a persistent actor's cell. One message is one line; everything leaves at the watermark.

The rule names (T1, D2, ...) are those of `docs/explanation/durability.md`.
"""

from __future__ import annotations

import copy
import inspect
import json
import logging
import time
from collections import deque
from threading import get_ident
from typing import TYPE_CHECKING, Any, cast
from zlib import crc32

import pykka
from pydantic import BaseModel
from pykka.messages import ProxyCall, ProxyGetAttr, ProxySetAttr
from pykka.messages import _ActorStop as ActorStop  # pyright: ignore[reportPrivateUsage]

from understudy.protocols import Frozen, Message, lifecycle
from understudy.protocols.base import described, encodable, text_of
from understudy.protocols.delivery import DeliveryFailed
from understudy.protocols.errors import (
    InvalidMessage,
    JournalDamaged,
    OutboxFull,
    OutcomeUnknown,
    Refused,
    ReplyNotEncodable,
    TurnOver,
    UnderstudyError,
    UnknownActor,
)
from understudy.supervision.boundary import contained, contained_unless_cancelled
from understudy.supervision.journaled import NO_SENDS, JournaledCell, Sent
from understudy.supervision.keys import (
    Remembered,
    decode_reply,
    encode,
    encode_reply,
    encode_to_send,
    hash_of,
)
from understudy.supervision.living import call_hook
from understudy.supervision.outbox import Waiting, sender_of
from understudy.supervision.recovery import recover, send_again
from understudy.supervision.scheduler import BATCH, BUSY, PAUSED, SLICE
from understudy.supervision.timers import Tick

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from understudy.supervision.futures import TaskReply
    from understudy.supervision.guardian import Parent
    from understudy.supervision.mailbox import Envelope
    from understudy.supervision.persistent import PersistentActor
    from understudy.supervision.reference import ActorRef
    from understudy.supervision.scheduled import Rest
    from understudy.supervision.system import ActorSystem

log = logging.getLogger("understudy.turn")

_ATOMS = (type(None), int, str, float, bool, bytes)


class Start:
    """The message of the turn in which `on_start` runs."""


class Stop:
    """The message of the turn in which `on_stop` runs."""


# The format of a line (rule J3); the second one is for the most frequent turn: from outside, no sends.
_LINE = b'{"seq":%d,"ts":%d,"cause":"%b","from":"%b","n":%d,"mark":%d%b,"events":[%b],"sends":[%b]%b'
_PLAIN_LINE = b'{"seq":%d,"ts":%d,"cause":"outside/%d","from":"","n":0,"mark":%d%b,"events":[%b],"sends":[]'

_NO_EFFECTS: list[Any] = []


class PersistentCell(JournaledCell):
    """See the module."""

    __slots__ = ("_cause", "_effects", "_inc", "_key", "_ordinal", "_sends", "_tries", "_undo", "events")

    def __init__(
        self,
        system: ActorSystem,
        actor_class: type[PersistentActor[Any]],
        name: str,
        arguments: dict[str, Any],
        parent: Parent | None,
    ) -> None:
        super().__init__(system, actor_class, name, arguments, parent)
        self.events: list[bytes] = []  # of the live turn, encoded; as the next three
        self._sends: list[Sent] = []
        self._effects: list[Callable[[], object]] = []
        self._undo: list[Callable[[], object]] = []
        self._key: tuple[str, str] | None = None
        self._cause: bytes = b""
        self._ordinal = 0
        self._tries: dict[tuple[str, int], int] = {}
        self._inc = b""

    # -- the turn

    def send(self, actor: PersistentActor[Any], to: ActorRef[Any] | str, message: Message[Any]) -> None:
        """See `PersistentActor.send`."""
        if not self.live or actor is not self.actor or get_ident() != self.scheduler.ident:
            raise self.turn_over("send")
        name = to if isinstance(to, str) else to.name
        receiver = self.system.find(name)
        if receiver is None and not self.system.has_journal(name):
            kind = type(message).__name__
            msg = f"{self}: expected an actor for {kind}, got {name!r}, which neither runs nor is in the home"
            raise UnknownActor(msg)
        if receiver is not None and not receiver.takes(type(message)):
            raise receiver.unknown_message(message)
        encoded = encode_to_send(message)  # before a number is taken: a failure must leave no gap (rule D1)
        n = 0
        if receiver is None or isinstance(receiver, PersistentCell):
            box = self.outbox.box(name)
            if len(box.waiting) >= self.system.settings.window:
                msg = f"{self}: {name} has not made {len(box.waiting)} messages durable; wait for it"
                raise OutboxFull(msg)
            n = box.next
            box.next += 1
        version = b"" if message.version == 1 else b',"v":%d' % message.version
        data = b'{"to":"%b","n":%d,"type":"%b"%b,"data":%b}' % (
            name.encode(),
            n,
            message.kind.encode(),
            version,
            encoded,
        )
        self._sends.append(Sent(name, n, message, data))

    def effect(self, call: Callable[[], object], undo: Callable[[], object] | None = None) -> None:
        """In a turn, `call` waits for the watermark (rule T4); outside of one it happens now."""
        if self.in_turn:
            self._effects.append(call)
            if undo is not None:
                self._undo.append(undo)
        else:
            call()

    async def before_ask(self, timeout_s: float | None) -> tuple[float | None, str | None]:
        """An ask inside this turn (rule T6).

        Before the first emit, behind our own watermark, with a deadline, and with a key that is the
        same when the turn is tried again.
        """
        if self.events or self._sends:
            msg = f"{self}: expected an ask before the first emit or send of the turn; use send afterwards"
            raise TurnOver(msg)
        await self.journal.settled()
        self._ordinal += 1
        key = f"{self.name}/{self._cause.decode()}/{self._ordinal}" if self._cause else None
        return timeout_s or self.system.settings.ask_timeout_s, key

    def step(self) -> Rest | None:  # noqa: C901, PLR0912 - the hot loop: a call per message costs a tenth
        """As for every cell; each message ends in `end`, which makes its line."""
        self.state = BUSY
        inbox, handlers, actor, scheduler = self.inbox, self.handlers, self.actor, self.scheduler
        window, left = self.system.settings.window, BATCH
        rest: Rest | None = None
        while left:
            if self.signals:
                self.flush_lines()
                if (rest := self.signals.popleft()()) is not None or self.state != BUSY:
                    break
                actor = self.actor
                continue
            if not inbox or not self.open:
                break
            if self.seq - self.watermark >= window:
                self.state = PAUSED  # the watermark queues us again
                break
            left -= 1
            envelope = inbox.popleft()
            n = envelope[3]
            if n and n != self.last_of.get(envelope[2], 0) + 1 and not self._continues(envelope):
                continue  # rule D1: a repetition, or a gap that will be sent again
            self.live = self.in_turn = True
            try:
                if envelope[5] is not None and self._answered(envelope):
                    continue
                handler = handlers.get(type(envelope[0]))
                if handler is None:
                    if (rest := self.take_other(envelope)) is not None:
                        break
                    continue
                value = handler[0](actor, envelope[0])
                if handler[1]:
                    self.live = False
                    rest = self.finish_async(value, envelope)
                    break
                self.end(envelope, value)
            except BaseException as error:  # noqa: BLE001 - the sender gets it; see failed
                self.failed(envelope, contained(error))
            if self.state != BUSY:
                break
            if not left & 7 and time.perf_counter() >= scheduler.slice_end:
                scheduler.spent = SLICE
                break
        self.flush_lines()
        scheduler.spent += BATCH - left
        return rest

    async def finish_async(self, coroutine: Awaitable[Any], envelope: Envelope) -> None:
        """As for every cell; the turn ends in a line, or is discarded (rule T7)."""
        self.enter_turn(envelope)
        self._cause = envelope[4] if envelope[3] else b""
        self._ordinal = 0
        try:
            self.end(envelope, await self.in_scope(coroutine))
        except BaseException as error:  # noqa: BLE001 - see step
            self.cut_off(envelope, error)
        finally:
            self._cause = b""
            self.flush_lines()

    def take_other(self, envelope: Envelope) -> Rest | None:
        """As for every cell; what pykka's messages read is answered behind the watermark (rule T4)."""
        message = envelope[0]
        kind = type(message)
        if isinstance(message, Tick):
            self.live = self.in_turn = False
            return self.take_tick(message)
        if kind is ActorStop:
            self.live = self.in_turn = False
            return self.terminate("stop requested", envelope)
        if kind is ProxySetAttr:
            msg = f"{self}: expected an event to change the state of a persistent actor, got an assignment"
            raise Refused(msg)
        actor = self.actor
        if isinstance(message, ProxyCall) and len(message.attr_path) == 1:
            self._check_not_applier(message.attr_path[0])
        if kind in (ProxyCall, ProxyGetAttr) or self.actor_class.on_receive is not pykka.Actor.on_receive:
            value = actor._handle_receive(envelope[0])  # noqa: SLF001
            if inspect.iscoroutine(value):
                self.live = False
                return self.finish_async(value, envelope)
            self.end(envelope, value)
            return None
        error = self.unknown_message(envelope[0])
        self.dead_letter(envelope, str(error))
        self.end(envelope, None, error)
        return None

    def _check_not_applier(self, name: str) -> None:
        """Refuse a proxy's call of a method that applies an event: no line would say what it changed."""
        function = getattr(self.actor_class, name, None)
        events = cast("PersistentActor[Any]", self.actor)._events  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        for kind, handler in events.items():
            if handler.apply is function:
                event = kind.__name__
                msg = (
                    f"{self}: expected a message whose handler emits {event}, got a call of {name}, which "
                    f"only `emit` and a replay may call; send a message, and `self.emit({event}(...))` there"
                )
                raise Refused(msg)

    def end(  # noqa: C901, PLR0912 - the hot path, as step
        self, envelope: Envelope, value: Any, error: BaseException | None = None
    ) -> None:
        """The turn becomes a line; what it says leaves when the line is durable (rules T1, T4, T5).

        Raises:
            ReplyNotEncodable: nothing has happened yet then; the turn is to be discarded.
        """
        message, reply, sender, n, cause, _ = envelope
        if reply is not None and error is None and type(value) not in _ATOMS:
            value = outgoing(message, value)
        key = self._key
        rest = b"" if key is None and error is None else self._outcome(message, n, value, error)
        # An empty list must not be held: it is the next turn's, whose sends would leave with this one's.
        told, sends, effects = self.events, self._sends or NO_SENDS, self._effects or _NO_EFFECTS
        self.live = self.in_turn = False
        self._key = None
        if effects:
            self._effects, self._undo = [], []
        if not (told or sends or n or rest):
            self.leave(reply, value, error, effects)
            return
        self.seq = seq = self.seq + 1
        ts = self.turn_us if told else int(self.system.clock.time() * 1e6)
        if n or sends or rest or cause:
            line = _LINE % (
                seq,
                ts,
                cause or b"outside/%d" % seq,
                sender.encode(),
                n,
                self.watermark,
                self._inc,
                b",".join(told),
                b",".join([sent.data for sent in sends]),
                rest,
            )
        else:
            line = _PLAIN_LINE % (seq, ts, seq, self.watermark, self._inc, b",".join(told))
        line = b'%b,"crc":"%08x"}\n' % (line, crc32(line))  # `seal`, written out: a call costs 3 % of a turn
        self.lines.append(line)
        self.bytes_since_snapshot += len(line)
        if told:
            self.events = []
        if n:
            self.last_of[sender] = n
            if self._tries:
                self._tries.pop((sender, n), None)
        if key is not None and rest:
            self._remember(key, ts, cast("Message[Any]", message), value, error)
        if sends:
            self._sends = []
            my_cause = b"%b/%d" % (self.name.encode(), seq)
            for sent in sends:
                if sent.n:
                    self.outbox.box(sent.to).waiting.append(Waiting(sent.n, seq, sent.message, my_cause))
        if reply is not None or sends or n or effects:
            self.held.append((seq, reply, value, error, sends, sender, n, effects))

    def _outcome(self, message: object, n: int, value: Any, error: BaseException | None) -> bytes:
        """The part of the line that says what came of a keyed message, or why one was refused."""
        rest = b""
        if self._key is not None and (error is None or isinstance(error, Refused)):
            key, digest = self._key
            message = cast("Message[Any]", message)
            rest = b',"kind":"%b","key":%b,"hash":"%b"' % (
                message.kind.encode(),
                json.dumps(key).encode(),
                digest.encode(),
            )
            if error is None:
                return b'%b,"reply":%b' % (rest, encode_reply(type(message), value))
        elif not n:
            return rest
        code = error.code if isinstance(error, UnderstudyError) else "error"
        refused = json.dumps({"code": code, "text": text_of(error)})
        return b'%b,"refused":%b' % (rest, refused.encode())

    def _remember(
        self, key: tuple[str, str], ts: int, message: Message[Any], value: Any, error: BaseException | None
    ) -> None:
        if isinstance(error, Refused):
            outcome = Remembered(key[1], ts, message.kind, None, (error.code, text_of(error)))
        else:
            outcome = Remembered(key[1], ts, message.kind, encode_reply(type(message), value), None)
        self.keys.add(key[0], outcome)

    def _answered(self, envelope: Envelope) -> bool:
        """Answer a message whose idempotency key is remembered, behind the watermark (rule D3)."""
        message, asked = cast("Message[Any] | None", envelope[0]), envelope[5]
        if asked is None or asked.key is None:
            return False
        if not isinstance(message, Message):
            msg = f"{self}: expected a Message with an idempotency key, got {type(message).__name__}"
            raise InvalidMessage(msg)
        value, error = None, None
        if encodable(asked.key) != asked.key:
            msg = f"{self}: expected an idempotency key of whole characters, got {asked.key!r}"
            raise InvalidMessage(msg)
        digest = hash_of(message)
        try:
            found = self.keys.find(asked.key, digest)
            if found is None:
                self._key = (asked.key, digest)
                return False
            value = decode_reply(type(message), found)
        except UnderstudyError as known:
            error = known
        self.live = self.in_turn = False
        self.leave(envelope[1], value, error, _NO_EFFECTS)
        return True

    def _continues(self, envelope: Envelope) -> bool:
        """Whether a message that is not last + 1 counts all the same.

        In a stream that a repair of the sender has closed there may be gaps (rule D4).
        """
        stream, n = envelope[2], envelope[3]
        sender = self.system.find(sender_of(stream))
        return (
            isinstance(sender, PersistentCell)
            and sender.outbox.stream != stream
            and n > self.last_of.get(stream, 0)
        )

    def turn_over(self, what: str) -> TurnOver:
        """The error of something that belongs into a turn and is not in one."""
        return TurnOver(
            f"{self}: expected {what} inside the live turn, on the loop's thread, got it from outside: "
            "an old incarnation, another thread, or a background task; tell the actor a message instead"
        )

    # -- failure

    def failed(self, envelope: Envelope, error: Exception) -> None:
        """A turn failed: before an emit nothing changed, later it is discarded (rules T3, T5)."""
        message, reply, sender, n = envelope[:4]
        if not n:  # a durable one is tried again, and then its sender is told (rule T5)
            error = self.blame(envelope, error)
        key = self._key if isinstance(error, Refused) else None
        touched = self._drop_turn()
        if self.problem is not None or self.stop_reason is not None:
            if reply is not None:
                reply.resolve(None, self.problem or OutcomeUnknown(f"{self}: the turn was discarded"))
            return
        retry = False
        if not isinstance(error, Refused):
            kind = type(message).__name__
            self.last_failure = described(error)
            log.error("%s failed on %s", self, kind, exc_info=error, extra={"action": "turn_discarded"})
            self.publish(lifecycle.TurnDiscarded, error=self.last_failure, message=kind)
            if n:
                self._tries[sender, n] = tries = self._tries.get((sender, n), 0) + 1
                retry = tries < self.system.settings.turn_retries
        if touched:
            self.open = False
            self.dirty = True
            if self.signals is None:
                self.signals = deque()
            self.signals.appendleft(lambda: self._rebuild(envelope, error, key, retry=retry))
        else:
            self._settle(envelope, error, key, retry=retry)

    def _settle(
        self, envelope: Envelope, error: Exception, key: tuple[str, str] | None, *, retry: bool
    ) -> None:
        """The state is as before the message: try it again later, or be done with it."""
        sender, n = envelope[2], envelope[3]
        if retry:
            tries = self._tries[sender, n]
            self.inbox.appendleft(envelope)
            self._pause(self.system.settings.retry_backoff_s * 2 ** (tries - 1))
            return
        if n:
            self._tell_sender(envelope, error)
        if envelope[1] is None:
            self.dead_letter(envelope, described(error))
        self._key = key
        self.end(envelope, None, error)

    def _tell_sender(self, envelope: Envelope, error: Exception) -> None:
        """A durable message is refused or a dead letter: a sender that wants to know is told (rule T5)."""
        message, _, stream, _, cause, _ = envelope
        sender = self.system.find(sender_of(stream))
        if sender is None or DeliveryFailed not in sender.handlers:
            return
        self.live = True
        try:
            self.send(
                self.actor,
                sender.name,
                DeliveryFailed(
                    actor=self.name,
                    message=type(message).__name__,
                    body=encode(cast("Message[Any]", message)).decode(),
                    cause=cause.decode(),
                    error=text_of(error),
                    refused=isinstance(error, Refused),
                ),
            )
        except UnderstudyError as problem:
            log.warning("%s can't be told: %s", sender, problem, extra={"action": "sender_not_told"})

    def _pause(self, delay_s: float) -> None:
        """Take no message for a while: the one that failed is tried again in its place."""
        self.open = False
        self.phase = "retrying"
        incarnation = self.incarnation

        def go_on() -> None:
            if self.incarnation == incarnation and self.phase == "retrying":
                self.opened()

        self.system.timers.call_at(self.system.clock.monotonic() + delay_s, go_on)

    def _drop_turn(self) -> bool:
        """Forget the live turn. Returns whether it had changed the state."""
        touched = bool(self.events)
        for sent in reversed(self._sends):
            if sent.n:
                self.outbox.box(sent.to).next = sent.n
        for undo in reversed(self._undo):
            undo()
        self.events, self._sends, self._effects, self._undo = [], [], [], []
        self._key = None
        self.live = self.in_turn = self.compacting = False
        return touched

    def interrupted(self, envelope: Envelope, error: BaseException) -> None:
        """The system ends in the middle of a turn: it is discarded."""
        self.dirty = self._drop_turn()
        super().interrupted(envelope, error)

    async def _rebuild(
        self, envelope: Envelope, error: Exception, key: tuple[str, str] | None, *, retry: bool
    ) -> None:
        """A new incarnation from the journal, by the code of recovery (rule T3)."""
        try:
            self.run_on_failure(error)
            self.end_incarnation()
            self.phase = "recovering"
            self.incarnation += 1
            self.actor = self.make_actor()
            self.lives = True
            await self._recover_and_start()
        except BaseException as raised:  # noqa: BLE001 - the actor can't go on by itself
            failure = contained_unless_cancelled(raised)
            if (reply := envelope[1]) is not None:
                reply.resolve(None, OutcomeUnknown(f"{self}: the rebuild failed: {text_of(failure)}"))
            if not self.stands_still(failure):
                self.fail(failure, "rebuild")
            return
        self.opened()
        if self.stop_reason is None:
            self._settle(envelope, error, key, retry=retry)
        self.flush_lines()

    # -- life

    def has_start(self) -> bool:
        """Starting is recovering."""
        return True

    async def begin(self, reply: TaskReply) -> None:
        """Recover, run `on_start` as a turn, then let the senders send again what is missing."""
        try:
            await self._recover_and_start()
        except BaseException as raised:  # noqa: BLE001 - whoever starts the actor decides
            error = self.start_failure(raised, reply)
            self._drop_turn()
            stands_still = self.stands_still(error)
            reply.resolve(None, self.problem if stands_still and self.phase == "halted" else error)
        else:
            self.opened()
            reply.resolve(None)

    async def _recover_and_start(self) -> None:
        self.flush_lines()
        await self.journal.settled()
        if self.problem is not None:
            raise self.problem
        try:
            await recover(self, starting=not self.recovered)
        except OSError as error:  # the disk's; one of `on_start` below is a failure like others
            self._write_failed(error)
            raise
        self.recovered = True
        self.dirty = False
        self._inc = b"" if self.journal.incarnation == 1 else b',"inc":%d' % self.journal.incarnation
        await self._run_on_start()
        for other in self.system.cells():
            if isinstance(other, PersistentCell) and other.recovered:
                self._reconcile(other)

    def _reconcile(self, other: PersistentCell) -> None:
        """Both ways, since each of them may have missed what the other one sent (rule D1)."""
        try:
            send_again(other, self)
        except JournalDamaged as error:
            other.block(error)
        if other is not self:
            send_again(self, other)

    async def _run_on_start(self) -> None:
        if self.actor_class.on_start is pykka.Actor.on_start:
            return
        envelope: Envelope = (Start(), None, "", 0, b"start/%d" % self.incarnation, None)
        self.enter_turn(envelope)
        self.live = self.in_turn = True
        await self.in_scope(call_hook(self.actor.on_start))
        self.end(envelope, None)
        self.flush_lines()

    async def run_on_stop(self, reason: str) -> None:
        """As for every cell, but a turn: what it emits tells the next start that this was no crash.

        One that fails or is cut off is discarded. Timers and tasks that it starts would end with the
        incarnation at once, and are left out.
        """
        if self.problem is not None or self.dirty or self.actor_class.on_stop is pykka.Actor.on_stop:
            await super().run_on_stop(reason)
            return
        envelope: Envelope = (Stop(), None, "", 0, b"stop/%d" % self.incarnation, None)
        self.enter_turn(envelope)
        self.live = self.in_turn = True
        try:
            if await self.called_on_stop(reason):
                self._effects, self._undo = [], []
                self.end(envelope, None)
                self.flush_lines()
        finally:
            self.dirty = self._drop_turn()


def outgoing(message: Any, value: Any) -> Any:
    """A reply that a later turn can't change: itself when immutable, else a copy (rule T2).

    Raises:
        ReplyNotEncodable: it can't be copied.
    """
    if isinstance(value, Frozen):
        return value
    try:
        if isinstance(value, BaseModel):
            return value.model_copy(deep=True)
        return copy.deepcopy(value)
    except BaseException as error:
        msg = (
            f"expected a reply to {type(message).__name__} that can be copied, "
            f"got {type(value).__name__}: {text_of(error)}; return a Frozen model"
        )
        raise ReplyNotEncodable(msg) from error
