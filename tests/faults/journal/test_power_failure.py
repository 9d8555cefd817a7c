"""What was told as durable survives a power failure at every single operation (rules J1, J2, J5, J6).

The same check is pointed at broken writers: one that does not sync, one that tells before it syncs,
one that does not sync the folder. It must catch each.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

import pytest

from understudy.supervision.files import Files
from understudy.supervision.journal import Journal
from understudy.supervision.journal.output import Output
from understudy.supervision.journal.writer import Append, Writer
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

SETTINGS = SmallSettings(segment_bytes=700)  # three lines: the scenario rotates twice
SURVIVORS = [None, 1, 2, 3]  # nothing that was not synced survives; or what a seed says


@dataclass
class Told:
    """What the world outside was told."""

    durable: int = 0
    snapshot: int = 0
    appended: list[bytes] = field(default_factory=list[bytes])

    def note(self, journal: Journal, seq: int) -> None:
        self.durable = seq
        self.snapshot = journal.snapshot_seq


async def live(root: Path, files: FaultyFiles, told: Told) -> None:
    """A journal's life: eight lines, two rotations, three snapshots, one failed sync with a reopening."""
    async with open_journals(root / "journals", files, SETTINGS) as journals:
        journal = journals.open("a")
        read(journal)
        journal.on_durable = partial(told.note, journal)
        for seq in range(1, 9):
            told.appended.append(make_line(seq))
            if seq == 5:
                files.fail("fdatasync")
                with suppress(OSError):
                    await append(journal, told.appended[-1:], seq)
                await journal.reopen()
            await append(journal, told.appended[-1:], seq)
            if seq % 3 == 0:
                journal.publish_snapshot(seq, b'{"seq":%d}' % seq)
                await append(journal, [], seq)


async def check(root: Path, crash_at: int, survivors: int | None) -> None:
    """Live until the crash, lose the power, recover: nothing that was told is missing, and it goes on."""
    files, told = FaultyFiles(root), Told()
    files.crash_at(crash_at)
    with suppress(OSError):
        await live(root, files, told)
    files.power_failure(None if survivors is None else Random(f"{crash_at}-{survivors}"))
    files.heal()

    async with open_journals(root / "journals", files, SETTINGS) as journals:
        journal = journals.open("a")
        snapshot = read_snapshot(journal)
        seen = (snapshot.seq if snapshot else 0, journal.watermark)
        assert told.durable <= seen[1] <= len(told.appended), f"crash at operation {crash_at}"
        assert told.snapshot <= seen[0] <= seen[1], f"crash at operation {crash_at}"
        assert read(journal) == told.appended[seen[0] : seen[1]]
        await append(journal, make_lines(seen[1] + 1, seen[1] + 2), seen[1] + 2)
        again = journals.open("a")
        assert read(again) == [*told.appended[seen[0] : seen[1]], *make_lines(seen[1] + 1, seen[1] + 2)]


def make_folder(folder: Path) -> Path:
    """A new folder."""
    folder.mkdir()
    return folder


async def count_operations(root: Path) -> int:
    """How many operations the whole life makes."""
    files = FaultyFiles(root)
    await live(root, files, Told())
    return len(files.operations)


async def check_everywhere(root: Path, survivors: int | None) -> None:
    """The check with the crash at every operation of the life, one after another."""
    for crash_at in range(1, await count_operations(make_folder(root / "counted")) + 1):
        await check(make_folder(root / str(crash_at)), crash_at, survivors)


@pytest.mark.req("JR-2", "JR-3")
@pytest.mark.rule("J1", "J2", "J5", "J6")
@pytest.mark.parametrize("survivors", SURVIVORS)
async def test_what_was_told_as_durable_survives_a_power_failure_at_every_operation(
    tmp_path: Path, survivors: int | None
) -> None:
    """Creation, appends, rotations, snapshots and a reopening, each cut short at each step."""
    await check_everywhere(tmp_path, survivors)


@pytest.mark.rule("J1")
async def test_writer_without_fdatasync_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check above fails for a writer that does not sync."""

    def skip(self: Output) -> None:
        del self

    monkeypatch.setattr(Output, "sync", skip)
    with pytest.raises(AssertionError, match="crash at operation"):
        await check_everywhere(tmp_path, None)


@pytest.mark.rule("J1")
async def test_writer_that_tells_before_it_syncs_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check above fails for a writer that moves the watermark first."""
    make_durable = Writer.make_durable

    def tell_first(self: Writer, some: list[tuple[Output, list[Append]]]) -> None:
        self.tell([(output, appends[-1][2], None) for output, appends in some])
        make_durable(self, some)

    monkeypatch.setattr(Writer, "make_durable", tell_first)
    with pytest.raises(AssertionError, match="crash at operation"):
        await check_everywhere(tmp_path, None)


@pytest.mark.rule("J2")
async def test_writer_that_does_not_sync_folders_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check above fails when new names are not made durable."""

    def ignore(self: Files, folder: Path) -> None:
        del self, folder

    monkeypatch.setattr(FaultyFiles, "sync_folder", ignore)
    with pytest.raises(AssertionError, match="crash at operation"):
        await check_everywhere(tmp_path, None)
