"""Removing old lines, cut short at every operation: nothing that counts is lost, and no number comes again.

Rules J2, J6 and J7: a snapshot, the segment that is left for it, and the segments and snapshots that go.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

import pytest
from pydantic import BaseModel

from understudy import ActorSystem, Event, Message, PersistentActor, Settings, UnderstudyError
from understudy.supervision.files import Files
from understudy.supervision.journal import Journal, Retention, verify_journal
from understudy.supervision.journal import retention as retention_module
from understudy.supervision.journal.snapshots import list_snapshots
from understudy.supervision.testing.files import FaultyFiles
from understudy.supervision.testing.journals import (
    SmallSettings,
    append,
    make_line,
    make_lines,
    open_journals,
    read,
    read_snapshot,
)

SETTINGS = SmallSettings(segment_bytes=150)  # a line: two segments lie between two snapshots
SURVIVORS = [None, 1, 2]
KEEP = Retention(keep_bytes=1000, keep_age_s=None, now=0, held=None, readable=lambda _: True)

pytestmark = [pytest.mark.req("JR-5"), pytest.mark.rule("J6", "J7")]


@dataclass
class Told:
    """What the world outside was told."""

    durable: int = 0
    snapshot: int = 0
    trimmed: int = 0
    appended: list[bytes] = field(default_factory=list[bytes])

    def note(self, journal: Journal, seq: int) -> None:
        self.durable = seq
        self.snapshot = journal.snapshot_seq

    def note_trimmed(self, first_seq: int) -> None:
        self.trimmed = first_seq


class OutOfOrder(FaultyFiles):
    """Of removals that no sync of the folder followed, the first one can be lost and later ones survive."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._removed: list[tuple[Path, bytes]] = []

    def unlink(self, path: Path) -> None:
        data = path.read_bytes()
        super().unlink(path)
        self._removed.append((path, data))

    def sync_folder(self, folder: Path) -> None:
        super().sync_folder(folder)
        self._removed = [each for each in self._removed if each[0].parent != folder]

    def power_failure(self, survivors: Random | None = None) -> None:
        super().power_failure(survivors)
        if survivors is not None and self._removed:
            path, data = self._removed[0]
            path.write_bytes(data)
            self.adopt()


class Careless(OutOfOrder):
    """What a trimming would do that does not sync the folder after each removal."""

    def sync_folder(self, folder: Path) -> None:
        if self.operations[-1].name != "unlink":
            super().sync_folder(folder)


async def live(root: Path, files: FaultyFiles, told: Told) -> None:
    """Fourteen lines, a snapshot for each two, a failed sync with a reopening in between, lines that go."""
    async with open_journals(root / "journals", files, SETTINGS) as journals:
        journal = journals.open("a")
        read(journal)
        journal.on_durable = partial(told.note, journal)
        journal.on_trimmed = told.note_trimmed
        for seq in range(1, 15):
            told.appended.append(make_line(seq))
            if seq == 6:  # the snapshot before is done: seq 5 was queued behind it
                files.fail("fdatasync")
                with suppress(OSError):
                    await append(journal, told.appended[-1:], seq)
                await journal.reopen()
            await append(journal, told.appended[-1:], seq)
            if seq % 2 == 0:
                journal.publish_snapshot(seq, b'{"seq":%d}' % seq, KEEP)
                await append(journal, [], seq)


async def check(root: Path, crash_at: int, survivors: int | None, layer: type[FaultyFiles]) -> None:
    """Live until the crash, lose the power, recover: nothing that was told is missing, and it goes on."""
    files, told = layer(root), Told()
    files.crash_at(crash_at)
    with suppress(OSError):
        await live(root, files, told)
    files.power_failure(None if survivors is None else Random(f"{crash_at}-{survivors}"))
    files.heal()

    where = f"crash at operation {crash_at}: {files.operations[-1]}"
    folder = root / "journals" / "a"
    assert verify_journal(files, folder).whole, where
    async with open_journals(root / "journals", files, SETTINGS) as journals:
        journal = journals.open("a")
        snapshot = read_snapshot(journal)
        begin = snapshot.seq if snapshot else 0
        assert told.durable <= journal.watermark <= len(told.appended), where
        assert told.snapshot <= begin <= journal.watermark, where
        assert read(journal) == told.appended[begin : journal.watermark], where
        for path in list_snapshots(files, folder)[:1]:  # the other one, and the lines behind it, do as well
            path.write_bytes(b"damaged")
            files.adopt()
            if list_snapshots(files, folder)[1:] or not told.trimmed:
                older = read_snapshot(journal)
                assert read(journal) == told.appended[older.seq if older else 0 : journal.watermark], where
            path.unlink()
            files.adopt()
        end = journal.watermark
        await append(journal, make_lines(end + 1, end + 9), end + 9)
        for seq in (end + 1, end + 9):
            journal.publish_snapshot(seq, b"{}", KEEP)
    report = verify_journal(files, folder)
    assert (report.whole, report.last_seq) == (True, end + 9), where


def make_folder(folder: Path) -> Path:
    """A new folder."""
    folder.mkdir()
    return folder


async def check_everywhere(root: Path, survivors: int | None, layer: type[FaultyFiles] = OutOfOrder) -> None:
    """The check with the crash at every operation of the life, one after another."""
    files, told = layer(make_folder(root / "counted")), Told()
    await live(root / "counted", files, told)
    assert told.trimmed > 7, "the life removes segments of both epochs"
    for crash_at in range(1, len(files.operations) + 1):
        await check(make_folder(root / str(crash_at)), crash_at, survivors, layer)


@pytest.mark.rule("J2")
@pytest.mark.parametrize("survivors", SURVIVORS)
async def test_journal_that_is_trimmed_survives_a_power_failure_at_every_operation(
    tmp_path: Path, survivors: int | None
) -> None:
    """Snapshots written and renamed, segments begun and removed one by one: each step cut short."""
    await check_everywhere(tmp_path, survivors)


async def test_lines_behind_the_older_snapshot_stay_also_when_it_has_segments_of_its_own(
    tmp_path: Path,
) -> None:
    """A limit of nothing: the newest snapshot may turn out to be damaged, and the older one must do."""
    keep_nothing = Retention(keep_bytes=0, keep_age_s=None, now=0, held=None, readable=lambda _: True)
    async with open_journals(tmp_path, None, SETTINGS) as journals:
        journal = journals.open("a")
        read(journal)
        for seq in range(1, 13):
            await append(journal, [make_line(seq)], seq)
            if seq % 4 == 0:
                journal.publish_snapshot(seq, b'{"seq":%d}' % seq, keep_nothing)
                await append(journal, [], seq)
    newest, older = list_snapshots(Files(), tmp_path / "a")
    assert (newest.name, older.name) == ("snapshot-0000000000000012.json", "snapshot-0000000000000008.json")
    newest.write_bytes(b"damaged")
    async with open_journals(tmp_path, None, SETTINGS) as journals:
        journal = journals.open("a")
        found = read_snapshot(journal)
        assert found is not None
        assert (found.seq, read(journal)) == (8, make_lines(9, 12))


async def test_trimming_that_does_not_sync_each_removal_is_caught(tmp_path: Path) -> None:
    """The check above fails when an older segment can come back while a newer one is gone."""
    with pytest.raises((AssertionError, UnderstudyError, BaseExceptionGroup)):
        await check_everywhere(tmp_path, 1, Careless)


async def test_trimming_beyond_the_older_snapshot_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check above fails when lines go that only the newest snapshot stands for."""
    older = retention_module.seq_of

    def newest(path: Path) -> int:
        return older(max(path.parent.glob("snapshot-*.json")))

    monkeypatch.setattr(retention_module, "seq_of", newest)
    with pytest.raises((AssertionError, UnderstudyError, BaseExceptionGroup)):
        await check_everywhere(tmp_path, None)


# -- an actor that gives out ids, and compacts


class Take(Message[int]):
    """An id that nobody had before."""


class Taken(Event):
    id: int
    text: str


class Ids(BaseModel):
    last: int = 0
    waiting: list[int] = []


class Desk(PersistentActor[Ids]):
    """Compacts when its queue of four is full: the queue starts anew, the ids must not."""

    def take(self, message: Take) -> int:
        del message
        self.emit(Taken(id=self.state.last + 1, text="x" * 100))
        if not self.state.waiting:
            self.compact()
        return self.state.last

    def taken(self, event: Taken) -> None:
        self.state.last = event.id
        self.state.waiting = [*self.state.waiting, event.id] if len(self.state.waiting) < 3 else []


async def take(root: Path, files: FaultyFiles, count: int, taken: list[int]) -> None:
    """Ask for ids, and note those that were acknowledged."""
    settings = Settings(keep_bytes=0, segment_bytes=4096, snapshot_bytes=1 << 20)
    async with ActorSystem(root / "home", files=files, settings=settings) as system:
        desk = await system.spawn(Desk, name="desk")
        for _ in range(count):
            got = await desk.ask_async(Take())
            taken.append(got)


async def test_compaction_killed_in_the_middle_never_gives_an_id_twice(tmp_path: Path) -> None:
    """A kill at every operation of a life of compactions; the home then goes on, and so do the ids."""
    counted = FaultyFiles(make_folder(tmp_path / "counted"))
    await take(tmp_path / "counted", counted, 20, ids := [])
    assert ids == list(range(1, 21))
    folder = tmp_path / "counted" / "home" / "state" / "journals" / "desk"
    assert min(int(path.name[:16]) for path in folder.glob("*-0001.jsonl")) > 10, "it was trimmed"
    for crash_at in range(12, len(counted.operations) + 1):
        root = make_folder(tmp_path / str(crash_at))
        files = FaultyFiles(root)
        files.crash_at(crash_at)
        taken: list[int] = []
        with suppress(OSError, UnderstudyError, BaseExceptionGroup):
            await take(root, files, 20, taken)
        files.power_failure(Random(crash_at))
        acknowledged = list(taken)
        await take(root, files, 5, taken)
        assert sorted(set(taken)) == taken, f"crash at {counted.operations[crash_at - 1]}"
        assert taken[len(acknowledged)] in (len(acknowledged) + 1, len(acknowledged) + 2)
