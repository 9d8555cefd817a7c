"""Time travel: a persistent actor's state as of an earlier turn, from its journal (JR-9, rule J7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from pydantic import BaseModel

from understudy.protocols.base import described
from understudy.protocols.errors import JournalDamaged, NewerVersion, RecordNotUnderstood, SeqNotKept
from understudy.supervision.journal import JournalReader, Snapshot
from understudy.supervision.journal.replay import Replay
from understudy.supervision.journal.segments import (
    Part,
    list_segments,
    read_about,
    resolve,
    unless_trimmed,
)
from understudy.supervision.journal.snapshots import list_snapshots, seq_of
from understudy.supervision.journal.survey import Good, survey
from understudy.supervision.recovery import read_chunk

if TYPE_CHECKING:
    from pathlib import Path

    from understudy.protocols.errors import UnderstudyError
    from understudy.supervision.files import Files
    from understudy.supervision.journal import Chunk
    from understudy.supervision.persistent import EventHandler, PersistentActor
    from understudy.supervision.records import Records

S = TypeVar("S", bound=BaseModel)


class Kept(NamedTuple):
    """The seqs whose state can be made: `first` to `last`, without those in `gaps` (given up by `repair`)."""

    first: int
    last: int
    gaps: tuple[tuple[int, int], ...] = ()


def kept_seqs(files: Files, folder: Path, durable: int | None = None) -> Kept:
    """How far back and how far on the state of the journal in `folder` can be made. Blocks.

    Seq 0 is the state before the first turn. What is trimmed can be made from the oldest snapshot on.

    Args:
        files: how it is read.
        folder: the journal's.
        durable: the last seq, where the caller knows it; else the journal's last segment is read.

    Raises:
        JournalDamaged, OSError.
    """
    gaps = read_about(files, folder).gaps
    parts = resolve(list_segments(files, folder), gaps)
    begins = parts[0].segment.first_seq if parts else 1
    snapshots = [seq_of(path) for path in list_snapshots(files, folder)]
    if begins == 1 or (1, begins - 1) in gaps:
        first = 0
    else:
        first = min((seq for seq in snapshots if seq >= begins - 1), default=begins)
    if durable is not None:
        return Kept(first, durable, gaps)
    last = _last_seq(files, folder, parts[-1]) if parts else 0
    return Kept(first, max([last, *snapshots]), gaps)


def _last_seq(files: Files, folder: Path, part: Part) -> int:
    """Of the last line that is whole, also behind damage."""
    reader = JournalReader(files, folder, part.segment.first_seq - 1)
    try:
        for _ in reader.read():
            pass
    except JournalDamaged:
        return max((item.seq for item in survey(files, part) if isinstance(item, Good)), default=reader.seq)
    return reader.seq


def replay_state(
    actor_class: type[PersistentActor[S]], files: Files, folder: Path, seq: int, durable: int | None = None
) -> S:
    """The state of an `actor_class` as of `seq`, from the journal in `folder`. Blocks; takes no lock.

    No actor is started and none of its hooks runs: the events are applied on an instance that was made
    without `__init__`. So the methods that apply events (and `initial_state`) may use nothing of `self`
    but `state` and `turn_time`.

    Args:
        actor_class: knows the events and the state.
        files: how the journal is read.
        folder: the journal's, named as the actor.
        seq: of the last turn that the state includes; 0 for the state before the first.
        durable: see `kept_seqs`.

    Raises:
        SeqNotKept: the journal has no such turn, or not any more.
        NewerVersion, RecordNotUnderstood: it is not this class's, or not this version's.
        JournalDamaged: between the snapshot before `seq` and `seq` (rule J4).
        OSError: the disk.
    """

    def replay() -> S:
        _check_kept(folder.name, seq, kept_seqs(files, folder, durable))
        return _replay(actor_class, files, folder, seq)

    return unless_trimmed(files, folder, replay)


def _check_kept(name: str, seq: int, kept: Kept) -> None:
    lost = next((gap for gap in kept.gaps if gap[0] <= seq <= gap[1]), None)
    if kept.first <= seq <= kept.last and lost is None:
        return
    why = "" if lost is None else f", which a repair gave up with seq {lost[0]} to {lost[1]}"
    msg = f"{name}: expected a seq from {kept.first} to {kept.last}, which are kept, got {seq}{why}"
    raise SeqNotKept(msg, first=kept.first, last=kept.last)


def _replay(actor_class: type[PersistentActor[S]], files: Files, folder: Path, seq: int) -> S:
    unfit: dict[Path, UnderstudyError] = {}
    while True:
        past = _Past(actor_class, folder.name)
        misfit: Path | None = None
        for item in Replay(files, folder, end_seq=seq, unfit=unfit).run():
            if not isinstance(item, Snapshot):
                past.apply(item)
            elif (reason := past.restore(item)) is not None:
                misfit, unfit[item.path] = item.path, reason
                break
        if misfit is None:
            return cast("S", past.actor.state)


class _Moment:
    """What stands in for the cell of an actor that does not run: the time of the turn."""

    turn_us = 0


class _Past:
    """An actor that only applies events."""

    def __init__(self, actor_class: type[PersistentActor[Any]], name: str) -> None:
        self.actor: Any = actor_class.__new__(actor_class)
        self.actor.name = name
        self.actor._cell = self._moment = _Moment()  # noqa: SLF001 - our own; as the next two
        self._records: Records = self.actor._records  # noqa: SLF001
        self._handlers: dict[type, EventHandler] = self.actor._events  # noqa: SLF001
        try:
            self.actor.state = self.actor.initial_state()
        except KeyboardInterrupt:  # may be the Ctrl-C of a command
            raise
        except BaseException as error:
            raise self._failed("initial_state", error) from error

    def restore(self, snapshot: Snapshot) -> UnderstudyError | None:
        try:
            self.actor.state = self._records.read_snapshot(snapshot.body)["state"]
        except (NewerVersion, RecordNotUnderstood) as error:
            return type(error)(f"{snapshot.path}: {error}")
        return None

    def apply(self, chunk: Chunk) -> None:
        for line in read_chunk(self._records, chunk):
            self._moment.turn_us = line["ts"]
            for event in line["events"]:
                data = event["data"]
                try:
                    self._handlers[type(data)].apply(self.actor, data)
                except KeyboardInterrupt:
                    raise
                except BaseException as error:
                    raise self._failed(f"the method for {type(data).__name__}", error) from error

    def _failed(self, what: str, error: BaseException) -> RecordNotUnderstood:
        return RecordNotUnderstood(
            f"{self.actor.name}: expected {what} of {type(self.actor).__name__} to use nothing of self but "
            f"`state` and `turn_time`, got {described(error)}"
        )
