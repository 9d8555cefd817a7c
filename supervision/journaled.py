"""What leaves a persistent actor, and when: its journal's lines, the watermark, and a disk that fails.

The layer below turns (`turns.py`): lines go to the writer, and whatever waits for them leaves when they
are durable (rule T4); a failed write halts the actor, damage blocks it (rules J4, J5).
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import trio

from understudy.protocols import lifecycle
from understudy.protocols.errors import (
    ActorBlocked,
    ActorHalted,
    JournalDamaged,
    NewerVersion,
    NotPersistent,
    OutcomeUnknown,
    RecordNotUnderstood,
    Refused,
    UnderstudyError,
)
from understudy.supervision.boundary import contained
from understudy.supervision.cell import Cell
from understudy.supervision.journal import Retention
from understudy.supervision.keys import KeyWindow
from understudy.supervision.outbox import Outbox, sender_of
from understudy.supervision.recovery import snapshot_body
from understudy.supervision.scheduler import BUSY, PAUSED, QUEUED, STOPPED
from understudy.supervision.wants import RESUME_EVERY_S, want_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from understudy.supervision.futures import Reply
    from understudy.supervision.guardian import Parent
    from understudy.supervision.mailbox import Envelope
    from understudy.supervision.persistent import PersistentActor
    from understudy.supervision.records import Records
    from understudy.supervision.system import ActorSystem

log = logging.getLogger("understudy.journal")

# seq, reply, value, error, sends, the durable sender and its n, effects: what leaves when the watermark
# reaches seq (rule T4). A plain tuple, as for Envelope.
Held = tuple[
    int, "Reply | None", Any, "BaseException | None", "list[Sent]", str, int, "list[Callable[[], object]]"
]


class Sent(NamedTuple):
    """A send of a turn: to whom, its number (0: at most once), the message, its part of the line."""

    to: str
    n: int
    message: Any
    data: bytes


NO_SENDS: list[Sent] = []


class JournaledCell(Cell):
    """See the module.

    Attributes:
        seq: number of the last turn; the state in memory may be ahead of `watermark`.
        recovered: the journal was read once; later readings are rebuilds.
        dirty: a discarded turn has changed the state, and the rebuild is still to come.
        last_of: the last number that was taken of each durable sender's stream (rule D1).
        bytes_since_snapshot: of lines.
        snapshot_bytes: the size of the last snapshot.
        compacting: a turn has asked for a snapshot.
        turn_us: the time of the turn whose events are applied, live or in a replay: what its line says,
            in microseconds since the epoch.
    """

    persistent = True

    __slots__ = (
        "_unsynced",
        "advice",
        "bytes_since_snapshot",
        "compacting",
        "dirty",
        "held",
        "journal",
        "keys",
        "last_of",
        "lines",
        "outbox",
        "problem_text",
        "recovered",
        "seq",
        "snapshot_bytes",
        "turn_us",
        "watermark",
    )

    def __init__(
        self,
        system: ActorSystem,
        actor_class: type[PersistentActor[Any]],
        name: str,
        arguments: dict[str, Any],
        parent: Parent | None,
    ) -> None:
        super().__init__(system, actor_class, name, arguments, parent)
        if system.journals is None:
            msg = f"expected a system with a home for {actor_class.__name__}: ActorSystem(home)"
            raise NotPersistent(msg)
        self.journal = system.journals.open(name)
        self.journal.on_durable = self._durable
        self.journal.on_failed = self._write_failed
        self.journal.on_trimmed = self._trimmed
        self.seq = 0
        self.watermark = 0
        self.recovered = False
        self.dirty = False
        self.last_of: dict[str, int] = {}
        self.outbox = Outbox(name, 1)
        self.keys = self.new_keys()
        self.problem_text: str | None = None
        self.advice = ""
        self.snapshot_bytes = 0
        self.bytes_since_snapshot = 0
        self.compacting = False
        self.turn_us = 0
        self.lines: list[bytes] = []
        self.held: deque[Held] = deque()
        self._unsynced: deque[tuple[int, bytes]] = deque()

    def new_keys(self) -> KeyWindow:
        """An empty window of idempotency keys."""
        return KeyWindow(self.system.settings.key_window, self.system.settings.key_age_s)

    def put(self, envelope: Envelope) -> None:
        """As for every cell; a halted or blocked actor takes nothing, and says so."""
        if self.problem is not None and self.state != STOPPED:
            raise self.problem
        super().put(envelope)

    def deliver(self, envelope: Envelope) -> None:
        """A durable send is sent again when this journal opens, so a closed one drops it (rule D1)."""
        if envelope[3] and (self.problem is not None or not self.recovered):
            return
        super().deliver(envelope)

    def stopped_error(self) -> UnderstudyError:
        """As for every cell; a halted or blocked actor says so."""
        return self.problem if self.problem is not None and self.state != STOPPED else super().stopped_error()

    def status(self) -> lifecycle.ActorStatus:
        """As for every cell, with the journal's numbers."""
        return (
            super()
            .status()
            .model_copy(
                update={"sequence": self.seq, "watermark": self.watermark, "problem": self.problem_text}
            )
        )

    def halt_report(self) -> lifecycle.Halt:
        """As for every cell."""
        return lifecycle.Halt(actor=self.name, error=self.problem_text or "", advice=self.advice)

    # -- the watermark

    def flush_lines(self) -> None:
        """Hand the lines of this step to the writer, and take a snapshot when it is time."""
        if not self.lines:
            return
        data = b"".join(self.lines)
        self.journal.append(data, self.seq)
        self.lines = []
        # Kept also when nobody watches: who subscribes before it is durable must hear of it then.
        self._unsynced.append((self.seq, data if self.system.journal_watched else b""))
        if self.compacting or (
            self.bytes_since_snapshot >= self.system.settings.snapshot_bytes
            and self.bytes_since_snapshot >= 2 * self.snapshot_bytes
        ):
            self._take_snapshot()

    def _take_snapshot(self) -> None:
        """Encode the state as of `seq` now; it is published behind the watermark (rule J6)."""
        if self.dirty or self.in_turn or self.problem is not None:
            return
        body = snapshot_body(self)
        self.snapshot_bytes = len(body)
        self.bytes_since_snapshot = 0
        self.compacting = False
        self.journal.publish_snapshot(self.seq, body, self._retention())

    def _retention(self) -> Retention:
        settings, system = self.system.settings, self.system
        return Retention(
            keep_bytes=settings.keep_bytes,
            keep_age_s=settings.keep_age_s,
            now=system.clock.time(),
            held=system.journal_held(self.name),
            readable=cast("Records", self.actor._records).can_read_snapshot,  # noqa: SLF001
        )

    def _trimmed(self, first_seq: int) -> None:
        self.publish(lifecycle.JournalTrimmed, first_seq=first_seq)

    def _durable(self, watermark: int) -> None:
        """Lines up to `watermark` are durable: everything that waited for them leaves (rule T4)."""
        self.watermark = watermark
        held, find = self.held, self.system.find
        while held and held[0][0] <= watermark:
            seq, reply, value, error, sends, stream, n, effects = held.popleft()
            if reply is not None:
                reply.resolve(value, error)
            for sent in sends:
                self._dispatch(sent, seq)
            for effect in effects:
                self._happen(effect)
            if n:
                sender = find(stream if "~" not in stream else sender_of(stream))
                if isinstance(sender, JournaledCell):
                    sender.outbox.acknowledge(stream, self.name, n)  # rule D2
        unsynced = self._unsynced
        while unsynced and unsynced[0][0] <= watermark:
            last, data = unsynced.popleft()
            self.system.journal_grew(self.name, last, data)
        if self.state == PAUSED and self.open:
            self.scheduler.ready(self)

    def _happen(self, effect: Callable[[], object]) -> None:
        try:
            effect()
        except BaseException as error:  # noqa: BLE001 - the line is durable: what follows from it still leaves
            self.fail(contained(error), "an effect")

    def _dispatch(self, sent: Sent, seq: int) -> None:
        receiver = self.system.find(sent.to)
        if receiver is None:
            return  # in the home, not running: it is sent again when that one opens its journal
        envelope: Envelope = (
            sent.message, None, self.outbox.stream, sent.n, b"%b/%d" % (self.name.encode(), seq), None
        )  # fmt: skip
        if sent.n:
            receiver.deliver(envelope)
            return
        try:
            receiver.put((sent.message, None, "", 0, envelope[4], None))
        except UnderstudyError as error:
            receiver.dead_letter(envelope, str(error))

    def leave(
        self,
        reply: Reply | None,
        value: Any,
        error: BaseException | None,
        effects: list[Callable[[], object]],
    ) -> None:
        """Something without a line of its own leaves: now, or when all that it saw is durable."""
        if reply is None and not effects:
            return
        if self.seq == self.watermark:
            if reply is not None:
                reply.resolve(value, error)
            for effect in effects:
                self._happen(effect)
        else:
            self.held.append((self.seq, reply, value, error, NO_SENDS, "", 0, effects))

    def when_durable(self, call: Callable[[], None]) -> None:
        """Have `call` run when all turns up to now are durable; dropped when they never are."""
        self.leave(None, None, None, [call])

    # -- the end

    def is_ahead(self) -> bool:
        """Whether turns are not durable yet."""
        return self.seq != self.watermark

    def must_flush(self) -> bool:
        """Whether lines are not durable yet."""
        return bool(self.lines) or self.seq > self.watermark

    async def flush(self) -> None:
        """Wait until all lines are durable, with a deadline (rule H3)."""
        self.flush_lines()
        with trio.move_on_after(self.system.settings.flush_timeout_s):
            await self.journal.settled()

    def closed(self, reason: str) -> None:
        """As for every cell; what is not durable by now has an unknown outcome."""
        if self.state == STOPPED:
            return
        self.flush_lines()
        super().closed(reason)
        self._release_unknown(OutcomeUnknown(f"{self} has stopped ({reason})"))
        self.journal.close()

    # -- halted and blocked

    def block(self, error: UnderstudyError) -> None:
        """The journal can't be read: nothing more is taken (rule J4)."""
        advice = "look with `understudy journal verify`, then `understudy journal repair`"
        if isinstance(error, RecordNotUnderstood):
            advice = f"run the program that wrote it, or give {self.actor_class.__name__} what it lacks"
        if isinstance(error, NewerVersion):
            advice = "run the newer version of the program"
        self._stand_still("blocked", ActorBlocked(f"{self} is blocked: {error}"), str(error), advice)
        self.publish(lifecycle.ActorBlocked, error=str(error), advice=advice)

    def _write_failed(self, error: OSError) -> None:
        """Reading or writing the journal failed: nothing leaves until a resume (rule J5)."""
        if self.state == STOPPED or self.problem is not None:
            return
        text = f"{type(error).__name__}: {error}"
        advice = (
            f"check the disk under {self.journal.folder}, then `understudy resume {self.name}`, "
            f"or `await system.resume({self.name!r})` in a program of your own"
        )
        self._stand_still("halted", ActorHalted(f"{self} is halted: {text}; {advice}"), text, advice)
        self.publish(lifecycle.ActorHalted, error=text, advice=advice)
        every_s = self.system.settings.resume_every_s
        if every_s is None and want_of(error) is not None:
            every_s = RESUME_EVERY_S  # an outage of the machine's, which ends by itself
        if every_s is not None:
            self.system.resume_later(self, every_s)

    def stands_still(self, error: Exception) -> bool:
        """Damage blocks the actor, a bad disk halts it; neither is a failure to restart from."""
        if isinstance(error, JournalDamaged | NewerVersion | RecordNotUnderstood):
            self.block(error)
        return self.problem is not None

    def _stand_still(self, phase: str, problem: UnderstudyError, text: str, advice: str) -> None:
        log.error("%s: %s", phase, problem, extra={"action": f"actor_{phase}"})
        self.phase, self.problem, self.problem_text, self.advice = phase, problem, text, advice
        self.open = False
        if self.state not in (BUSY, QUEUED):
            self.state = PAUSED
        self.lines = []
        if phase == "halted":  # a blocked actor's lines still become durable, and readers are told of them
            self._unsynced = deque()
        self._release_unknown(problem)
        self.cancel_turn()
        kept = [envelope for envelope in self.inbox if envelope[1] is None]
        refused = [envelope for envelope in self.inbox if envelope[1] is not None]
        self.inbox.clear()
        self.inbox.extend(kept)
        for envelope in refused:
            self.refuse(envelope)
        self.let_in()

    def _release_unknown(self, problem: Exception) -> None:
        """Whoever waits for a turn that is not durable learns that its outcome is unknown (rule D3)."""
        held, self.held = self.held, deque()
        for entry in held:
            if (reply := entry[1]) is not None:
                reply.resolve(
                    None,
                    OutcomeUnknown(f"{problem}; ask again with the same idempotency key after the resume"),
                )

    def suspend(self) -> None:
        """As for every cell; halted and blocked stay what they are."""
        if self.problem is None:
            super().suspend()
        else:
            self.open = False

    async def resume(self) -> None:
        """Go on after a halt: a new segment (rule J5), then a recovery.

        Raises:
            Refused: the actor is not halted.
            ActorHalted: the disk is still bad.
        """
        if self.phase != "halted":
            msg = f"expected a halted actor to resume, got {self}, which is {self.phase}"
            raise Refused(msg)
        try:
            await self.journal.reopen()
        except OSError as error:
            msg = f"{self} stays halted: {type(error).__name__}: {error}; {self.advice}"
            raise ActorHalted(msg) from error
        if self.phase != "halted":
            return  # somebody else was first
        self.phase, self.problem, self.problem_text = "recovering", None, None
        self.end_incarnation()
        await self.start()
        self.publish(lifecycle.ActorResumed)
