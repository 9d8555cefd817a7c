"""A failed write or sync ends that file; nothing is told that is not on disk (rule J5)."""

from __future__ import annotations

import errno
from pathlib import Path
from random import Random

import pytest
import trio

from understudy.supervision.journal import verify_journal
from understudy.supervision.testing.files import FaultyFiles, Operation
from understudy.supervision.testing.journals import (
    SmallSettings,
    append,
    make_line,
    make_lines,
    open_journals,
    read,
    write_segment,
)

FIRST = "0000000000000001-0001.jsonl"


@pytest.mark.req("JR-8")
@pytest.mark.rule("J5")
@pytest.mark.parametrize("operation", ["fdatasync", "write"])
async def test_after_a_failed_operation_the_file_is_never_appended_to_again(
    tmp_path: Path, operation: str
) -> None:
    """What was appended is dropped until `reopen`; then a new epoch begins behind the watermark."""
    files = FaultyFiles(tmp_path)
    async with open_journals(tmp_path, files) as journals:
        journal = journals.open("a")
        problems: list[OSError] = []
        journal.on_failed = problems.append
        await append(journal, make_lines(1, 2), 2)
        files.fail(operation)
        with pytest.raises(OSError, match="Input/output error"):
            await append(journal, make_lines(3, 4), 4)
        journal.append(make_line(5), 5)  # a no-op
        await journal.settled()
        assert (journal.watermark, problems) == (2, [journal.problem])
        changes = len(files.operations)
        with trio.move_on_after(0):
            await trio.lowlevel.checkpoint()
        assert len(files.operations) == changes

        await journal.reopen()
        assert journal.problem is None
        await append(journal, [make_line(3, text="again")], 3)
        assert (tmp_path / "a" / FIRST).read_bytes() == b"".join(make_lines(1, 2))
        assert (tmp_path / "a" / "0000000000000003-0002.jsonl").read_bytes() == make_line(3, text="again")
        void = [path.read_bytes() for path in (tmp_path / "a").glob("*.void-*")]
        assert void == ([] if operation == "write" else [b"".join(make_lines(3, 4))])
        assert read(journals.open("a")) == [*make_lines(1, 2), make_line(3, text="again")]
        written = [step.path.name for step in files.operations[changes:] if step.name == "write"]
        assert FIRST not in written


@pytest.mark.rule("J5")
async def test_page_cache_after_a_failed_sync_proves_nothing(tmp_path: Path) -> None:
    """The failed lines can be read, and a second sync succeeds; yet they are gone when the power is."""
    files = FaultyFiles(tmp_path)
    async with open_journals(tmp_path, files) as journals:
        journal = journals.open("a")
        await append(journal, make_lines(1, 2), 2)
        files.fail("fdatasync")
        with pytest.raises(OSError, match="Input/output error"):
            await append(journal, make_lines(3, 4), 4)
        await journal.reopen()
        await append(journal, [make_line(3, text="again")], 3)
    files.power_failure()
    async with open_journals(tmp_path, files) as journals:
        assert read(journals.open("a")) == [*make_lines(1, 2), make_line(3, text="again")]


@pytest.mark.rule("J5")
async def test_start_writes_unproven_lines_again_before_they_count(tmp_path: Path) -> None:
    """A process that died after a failed sync leaves lines that are in the page cache only."""
    files = FaultyFiles(tmp_path)
    async with open_journals(tmp_path, files) as journals:
        journal = journals.open("a")
        await append(journal, make_lines(1, 2), 2)
        files.fail("fdatasync")
        with pytest.raises(OSError, match="Input/output error"):
            await append(journal, make_lines(3, 4), 4)
    async with open_journals(tmp_path, files) as journals:
        journal = journals.open("a")
        assert read(journal) == make_lines(1, 4)
        assert journal.watermark == 4
    files.power_failure()
    async with open_journals(tmp_path, files) as journals:
        assert read(journals.open("a")) == make_lines(1, 4)


@pytest.mark.rule("J5")
@pytest.mark.parametrize("operation", ["fdatasync", "sync_folder", "write_at"])
async def test_start_whose_sync_fails_counts_nothing_and_leaves_that_file(
    tmp_path: Path, operation: str
) -> None:
    """The caller gets the error and tries again; then the file is left for the next epoch."""
    files = FaultyFiles(tmp_path)
    write_segment(tmp_path / "a", make_lines(1, 2))
    async with open_journals(tmp_path, files) as journals:
        journal = journals.open("a")
        files.fail(operation)
        with pytest.raises(OSError, match="Input/output error"):
            read(journal)
        assert journal.watermark == 0
        assert read(journal) == make_lines(1, 2)
        await append(journal, [make_line(3)], 3)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == [FIRST, "0000000000000003-0002.jsonl"]


@pytest.mark.req("JR-8")
@pytest.mark.rule("J5")
async def test_full_disk_tears_a_line_and_reopening_waits_for_room(tmp_path: Path) -> None:
    """ENOSPC in the middle of a line; `reopen` fails while the disk is full, and works when it is not."""
    files = FaultyFiles(tmp_path)
    async with open_journals(tmp_path, files) as journals:
        journal, other = journals.open("a"), journals.open("b")
        await append(journal, make_lines(1, 2), 2)
        files.space_bytes = 70
        with pytest.raises(OSError, match="No space left") as caught:
            await append(journal, make_lines(3, 4), 4)
        assert caught.value.errno == errno.ENOSPC
        files.fail("make", error=errno.ENOSPC, times=2)
        for _ in range(2):
            with pytest.raises(OSError, match="No space left"):
                await journal.reopen()
            assert journal.problem is not None
        files.heal()
        await append(other, [make_line(1)], 1)
        await journal.reopen()
        await append(journal, make_lines(3, 4), 4)
        assert read(journals.open("a")) == make_lines(1, 4)
    report = verify_journal(files, tmp_path / "a")
    assert (report.whole, report.lines) == (True, 4)
    whole = b"".join(path.read_bytes() for path in (tmp_path / "a").glob("*.jsonl"))
    assert whole == b"".join(make_lines(1, 4)), "no torn line is left for jq to stumble on"


@pytest.mark.rule("J2", "J5")
@pytest.mark.parametrize("folder_number", [0, 1, 2])
async def test_new_journal_whose_folders_fail_to_sync_is_durable_when_it_says_so(
    tmp_path: Path, folder_number: int
) -> None:
    """A folder that an attempt made without syncing it is not taken for durable by the next one."""
    files = FaultyFiles(tmp_path)
    async with open_journals(tmp_path / "state" / "journals", files) as journals:
        journal = journals.open("a")
        files.fail("sync_folder", after=folder_number)
        with pytest.raises(OSError, match="Input/output error"):
            await append(journal, [make_line(1)], 1)
        await journal.reopen()
        await append(journal, [make_line(1)], 1)
    files.power_failure()
    async with open_journals(tmp_path / "state" / "journals", files) as journals:
        assert read(journals.open("a")) == [make_line(1)]


@pytest.mark.rule("J1")
async def test_error_that_nobody_expected_ends_one_journal_and_not_the_service(tmp_path: Path) -> None:
    """The writer's thread serves all journals; the one that met a bug is told of it."""
    files = FaultyFiles(tmp_path)

    def stumble(operation: Operation) -> None:
        if operation.name == "fdatasync" and operation.path.parent.name == "a":
            raise RuntimeError("a bug")

    async with open_journals(tmp_path, files) as journals:
        bad, good = journals.open("a"), journals.open("b")
        files.on_operation = stumble
        with pytest.raises(OSError, match="a bug"):
            await append(bad, [make_line(1)], 1)
        await append(good, [make_line(1)], 1)
        assert (bad.watermark, good.watermark) == (0, 1)


@pytest.mark.rule("J5")
async def test_void_lines_that_can_not_be_moved_stay_void(tmp_path: Path) -> None:
    """When tidying fails too, the next epoch's segment alone decides what counts."""
    files = FaultyFiles(tmp_path)
    async with open_journals(tmp_path, files) as journals:
        journal = journals.open("a")
        await append(journal, make_lines(1, 2), 2)
        files.fail("fdatasync")
        with pytest.raises(OSError, match="Input/output error"):
            await append(journal, make_lines(3, 6), 6)
        files.fail("truncate")
        await journal.reopen()
        await append(journal, make_lines(3, 4, text="again"), 4)
        assert (tmp_path / "a" / FIRST).read_bytes() == b"".join(make_lines(1, 6))
        expected = [*make_lines(1, 2), *make_lines(3, 4, text="again")]
        assert read(journal, starting=False) == expected
        assert read(journals.open("a")) == expected
    assert verify_journal(files, tmp_path / "a").lines == 4


@pytest.mark.req("JR-8")
async def test_one_journal_that_fails_does_not_hold_up_the_others(tmp_path: Path) -> None:
    """Several in one batch: each has a result of its own."""
    files = FaultyFiles(tmp_path)
    async with open_journals(tmp_path, files) as journals:
        many = [journals.open(f"a{number}") for number in range(6)]
        for journal in many:
            await append(journal, [make_line(1)], 1)
        files.fail("fdatasync", after=2)
        for journal in many:
            journal.append(make_line(2), 2)
        for journal in many:
            with trio.fail_after(5):
                await journal.settled()
        assert sorted(journal.watermark for journal in many) == [1, 2, 2, 2, 2, 2]
        assert [journal.watermark == 1 for journal in many] == [
            journal.problem is not None for journal in many
        ]


async def test_short_writes_make_whole_lines(tmp_path: Path) -> None:
    """The system may take seven bytes at a time."""
    files = FaultyFiles(tmp_path)
    files.short_write_bytes = 7
    async with open_journals(tmp_path, files, SmallSettings(segment_bytes=300)) as journals:
        journal = journals.open("a")
        for seq in range(1, 8):
            await append(journal, [make_line(seq)], seq)
        journal.publish_snapshot(7, b'{"seven":7}')
        await append(journal, [make_line(8)], 8)
        again = journals.open("a")
        assert read(again) == [make_line(8)]
        assert again.snapshot_seq == 7


@pytest.mark.rule("J4", "J5")
async def test_random_survivors_of_big_batches_are_a_prefix_and_go_on(tmp_path: Path) -> None:
    """Batches of many sectors are torn in all ways that a seed finds; no crash looks like damage."""
    torn = with_nuls = 0
    for seed in range(60):
        chance = Random(seed)
        root = tmp_path / str(seed)
        root.mkdir()
        files = FaultyFiles(root)
        acknowledged, appended = 0, 0
        async with open_journals(root, files, SmallSettings(segment_bytes=20_000)) as journals:
            journal = journals.open("a")
            files.crash_at(chance.randint(5, 40))
            try:
                while appended < 400:
                    first, appended = appended + 1, appended + chance.randint(1, 40)
                    lines = [make_line(seq, mark=acknowledged) for seq in range(first, appended + 1)]
                    await append(journal, lines, appended)
                    acknowledged = appended
            except OSError:
                pass
        files.power_failure(chance)
        async with open_journals(root, files) as journals:
            journal = journals.open("a")
            found = read(journal, proven=acknowledged)
            assert acknowledged <= len(found) <= appended
            assert journal.watermark == len(found)
            await append(journal, [make_line(len(found) + 1)], len(found) + 1)
            assert len(read(journals.open("a"))) == len(found) + 1
            torn += journal.torn is not None
            with_nuls += journal.torn is not None and b"\0" in journal.torn.kept.read_bytes()
    assert torn - with_nuls > 5
    assert with_nuls > 5
