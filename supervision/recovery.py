"""Recovery: snapshot, then the later lines, then what senders and receivers owe each other.

A start and a rebuild are the same code (rule T3); a start reads all there is and may cut a torn tail.
"""

from __future__ import annotations

import copy
import json
import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import trio
from pydantic import ValidationError

from understudy.protocols import lifecycle as events
from understudy.protocols.errors import JournalDamaged, NewerVersion, RecordNotUnderstood, UnderstudyError
from understudy.protocols.upcasting import upcast
from understudy.supervision.journal import Snapshot
from understudy.supervision.journal.exchange import lost_text
from understudy.supervision.keys import Remembered, encode
from understudy.supervision.outbox import Box, Outbox, Unsent, Waiting

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from understudy.protocols import Message
    from understudy.supervision.journal import Chunk
    from understudy.supervision.journaled import JournaledCell
    from understudy.supervision.records import Line, Records

log = logging.getLogger("understudy.recovery")

MOST_WAITING = 65_536
"""No sender is ever further ahead of a receiver: the upper bound of `Settings.window`."""


async def recover(cell: JournaledCell, *, starting: bool) -> None:
    """Make state, numbers, outbox and keys of `cell` what its journal says.

    Raises:
        JournalDamaged, NewerVersion, RecordNotUnderstood: the actor is to be blocked.
        OSError: the actor is to be halted.
    """
    unfit: dict[Path, UnderstudyError] = {}
    while (misfit := await _read(cell, starting=starting, unfit=unfit)) is not None:
        unfit[misfit.path] = misfit.reason
    if starting and (torn := cell.journal.torn) is not None:
        cell.publish(
            events.TornTailCut,
            file=str(torn.file),
            offset=torn.offset,
            size_bytes=torn.size,
            kept_in=str(torn.kept),
        )


async def _read(
    cell: JournaledCell, *, starting: bool, unfit: Mapping[Path, UnderstudyError]
) -> _Misfit | None:
    """Recover without the snapshots in `unfit`; one more of these ends it, and is returned."""
    replay = _Replay(cell)
    slice_s = cell.scheduler.slice_s
    pause_at = time.perf_counter() + slice_s
    for part in cell.journal.replay(starting=starting, proven=_proven(cell), unfit=unfit):
        if isinstance(part, Snapshot):
            if (misfit := replay.restore(part)) is not None:
                return misfit
        else:
            replay.apply(part)
        if time.perf_counter() > pause_at:
            await trio.lowlevel.cancel_shielded_checkpoint()
            pause_at = time.perf_counter() + slice_s
    replay.finish()
    return None


def _proven(cell: JournaledCell) -> int:
    """The seq that readers know to be durable; 0 when they have read other numbers (rule D4).

    A journal without a line has lost all of them, not other numbers.
    """
    incarnation, seq = cell.system.proven.get(cell.name, (0, 0))
    return seq if seq and cell.journal.stored_incarnation() in (incarnation, None) else 0


class _Misfit(NamedTuple):
    """A snapshot that is whole, and that this version of the actor can't use."""

    path: Path
    reason: UnderstudyError


class _Replay:
    """What a replay gathers before it becomes the cell's."""

    def __init__(self, cell: JournaledCell) -> None:
        self._cell = cell
        self._seq = 0
        self._last_of: dict[str, int] = {}
        self._boxes: dict[tuple[str, int], Box] = {}
        self._keys = cell.new_keys()
        self._bytes = 0
        self._name = cell.name.encode()
        cell.actor.state = cell.actor.initial_state()

    def restore(self, snapshot: Snapshot) -> _Misfit | None:
        """Begin at a snapshot. When it does not fit nothing has changed, and that is returned."""
        cell = self._cell
        records = cell.actor._records  # noqa: SLF001
        try:
            body = records.read_snapshot(snapshot.body)
        except (NewerVersion, RecordNotUnderstood) as error:
            return _Misfit(snapshot.path, type(error)(f"{snapshot.path}: {error}; nothing was changed"))
        cell.actor.state = body["state"]
        cell.snapshot_bytes = len(snapshot.body)
        self._seq = snapshot.seq
        self._last_of = body["last"]
        for to, incarnation, next_n, waiting in body["outbox"]:
            box = self._boxes[to, incarnation] = Box(next_n)
            for n, seq, kind, version, data, cause in waiting:
                box.waiting.append(Waiting(n, seq, Unsent(kind, version, data), cause.encode()))
        for key, digest, ts, kind, reply, refused in body["keys"]:
            kept = None if reply is None else reply.encode()
            self._keys.add(key, Remembered(digest, ts, kind, kept, refused))
        return None

    def apply(self, chunk: Chunk) -> None:
        """Apply a chunk's lines, in order."""
        cell, actor, last_of = self._cell, self._cell.actor, self._last_of
        records, handlers = actor._records, actor._events  # noqa: SLF001
        for line in read_chunk(records, chunk):
            cell.turn_us = line["ts"]
            for event in line["events"]:
                data = event["data"]
                handlers[type(data)][2](actor, data)
            if line["n"]:
                last_of[line["from"]] = line["n"]
            if line["sends"]:
                self._note_sends(line)
            if "key" in line:
                self._note_key(line)
        self._seq = chunk.first_seq + len(chunk.lines) - 1
        self._bytes += sum(map(len, chunk.lines))

    def finish(self) -> None:
        """The replay is done: it becomes the cell's."""
        cell, journal = self._cell, self._cell.journal
        outbox = Outbox(cell.name, journal.incarnation)
        for (to, incarnation), box in self._boxes.items():
            if incarnation == journal.incarnation:
                outbox.boxes[to] = box
            elif box.waiting:
                outbox.older[to, incarnation] = box
        cell.outbox, cell.last_of, cell.keys = outbox, self._last_of, self._keys
        cell.seq = cell.watermark = journal.watermark
        cell.bytes_since_snapshot = self._bytes
        if self._seq > cell.seq:  # it may be less: a repair has given up the last lines
            msg = f"{cell}: expected to have replayed up to seq {cell.seq}, got {self._seq}"
            raise RuntimeError(msg)

    def _note_sends(self, line: Line) -> None:
        incarnation = line.get("inc", 1)
        for send in line["sends"]:
            if not send["n"]:
                continue
            place = (send["to"], incarnation)
            box = self._boxes.get(place)
            if box is None:
                box = self._boxes[place] = Box()
            box.next = send["n"] + 1
            cause = b"%b/%d" % (self._name, line["seq"])
            unsent = Unsent(send["type"], send.get("v", 1), send["data"])
            box.waiting.append(Waiting(send["n"], line["seq"], unsent, cause))
            if len(box.waiting) > MOST_WAITING:
                box.waiting.popleft()

    def _note_key(self, line: Line) -> None:
        refused = line.get("refused")
        self._keys.add(
            line.get("key", ""),
            Remembered(
                line.get("hash", ""),
                line["ts"],
                line.get("kind", ""),
                None if refused is not None else json.dumps(line.get("reply")).encode(),
                None if refused is None else (refused["code"], refused["text"]),
            ),
        )


def read_chunk(records: Records, chunk: Chunk) -> list[Line]:
    """A chunk's lines, decoded, with the numbers that they must have.

    Raises:
        JournalDamaged: a number is wrong.
        NewerVersion, RecordNotUnderstood: a line can't be decoded; names its place.
    """
    try:
        lines = records.read(chunk.lines)
    except (ValidationError, NewerVersion, RecordNotUnderstood) as error:
        raise _why_not_read(records, chunk) from error
    for index, line in enumerate(lines):
        if line["seq"] != chunk.first_seq + index:
            raise chunk.damaged(index, f"expected seq {chunk.first_seq + index}, got {line['seq']}")
    return lines


def _why_not_read(records: Records, chunk: Chunk) -> UnderstudyError:
    """The error of a chunk that `records` can't decode, with the place of the first such line."""
    for index, line in enumerate(chunk.lines):
        place = chunk.damaged(index, "")
        where = f"{place.file}, line {place.line}, offset {place.offset}"
        try:
            reason = records.explain(line)
        except NewerVersion as newer:
            return NewerVersion(f"{where}: {newer}; nothing was changed")
        if reason is not None:
            return RecordNotUnderstood(f"{where}: {reason}; the record is whole, and nothing was changed")
    return chunk.damaged(0, "the lines can't be decoded")


def snapshot_body(cell: JournaledCell) -> bytes:
    """State, outbox, numbers and keys of a cell as of its `seq`, as one line of JSON (rule J6)."""
    outbox = cell.outbox
    boxes = [(to, outbox.incarnation, box) for to, box in outbox.boxes.items()]
    boxes += [(to, incarnation, box) for (to, incarnation), box in outbox.older.items()]
    rest = {
        "version": cell.actor.state_version,
        "last": cell.last_of,
        "outbox": [
            (to, incarnation, box.next, [_unsent(waiting) for waiting in box.waiting])
            for to, incarnation, box in boxes
        ],
        "keys": [
            (
                key,
                kept.hash,
                kept.ts,
                kept.kind,
                None if kept.reply is None else kept.reply.decode(),
                kept.refused,
            )
            for key, kept in cell.keys
        ],
    }
    state = cell.actor._records.write_state(cell.actor.state)  # noqa: SLF001
    return json.dumps(rest).encode()[:-1] + b',"state":' + state + b"}"


def _unsent(waiting: Waiting) -> tuple[int, int, str, int, Any, str]:
    message = waiting.message
    data = message.data if isinstance(message, Unsent) else json.loads(encode(message))
    return waiting.n, waiting.seq, message.kind, message.version, data, waiting.cause.decode()


def send_again(sender: JournaledCell, receiver: JournaledCell) -> None:
    """Deliver everything of `sender` above the receiver's last number once more (rule D1).

    Called when either of them has opened its journal.

    Raises:
        JournalDamaged: the receiver has consumed what the sender's journal does not hold.
    """
    current, mine = sender.outbox.stream, sender.outbox.boxes.get(receiver.name)
    consumed, sent = receiver.last_of.get(current, 0), 0 if mine is None else mine.next - 1
    if consumed > sent:
        raise JournalDamaged(
            str(sender.journal.folder),
            0,
            0,
            lost_text(receiver.name, consumed, sent),
        )
    for stream, box in sender.outbox.streams_to(receiver.name):
        last = receiver.last_of.get(stream, 0)
        receiver.when_durable(lambda box=box, last=last: box.acknowledge(last))
        missing = [waiting for waiting in box.waiting if waiting.n > last]
        first = missing[0].n if missing else box.next
        if first > last + 1 and stream == current:
            log.error(
                "%s: messages %d to %d of %s are gone with lines of its journal",
                receiver,
                last + 1,
                first - 1,
                stream,
                extra={"action": "delivery_gap"},
            )
            receiver.last_of[stream] = first - 1
        for waiting in missing:
            if waiting.seq <= sender.watermark:
                _deliver(receiver, stream, waiting)


def _deliver(receiver: JournaledCell, stream: str, waiting: Waiting) -> None:
    message: object = waiting.message
    if isinstance(message, Unsent):
        known = cast("Iterable[type[Message[Any]]]", receiver.handlers)
        kind = next((kind for kind in known if message.kind == kind.kind or message.kind in kind.was), None)
        # A type that is not handled, or of a newer or another shape, is refused by the receiver and so
        # consumed (rule T5). The upcast gets a copy: the message may be sent again.
        if kind is not None:
            with suppress(ValidationError, NewerVersion, RecordNotUnderstood):
                data = upcast(kind, message.version, copy.deepcopy(message.data))
                message = kind.model_validate_json(json.dumps(data))
    receiver.deliver((message, None, stream, waiting.n, waiting.cause, None))
