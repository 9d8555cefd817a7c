"""Which lines count when there are several segments, epochs, gaps and snapshots (rules J2, J5, J6)."""

from __future__ import annotations

from pathlib import Path

import pytest

from understudy.protocols.errors import JournalDamaged
from understudy.supervision.files import Files
from understudy.supervision.journal import Chunk
from understudy.supervision.journal.segments import Segment, resolve, set_aside
from understudy.supervision.testing.files import FaultyFiles
from understudy.supervision.testing.journals import (
    SmallSettings,
    append,
    make_line,
    make_lines,
    open_journals,
    read,
    read_snapshot,
    write_segment,
)


def spans(
    *segments: tuple[int, int], gaps: tuple[tuple[int, int], ...] = ()
) -> list[tuple[int, int, int | None]]:
    """What counts of segments (epoch, first seq): their epoch, first and end."""
    parts = resolve([Segment(Path(), first, epoch) for epoch, first in sorted(segments)], gaps)
    return [(part.segment.epoch, part.segment.first_seq, part.end_seq) for part in parts]


@pytest.mark.rule("J5")
def test_later_epoch_makes_void_what_lies_at_and_behind_its_first_seq() -> None:
    """Also whole segments, and also when the later one was never written to."""
    assert spans() == []
    assert spans((1, 1), (1, 5)) == [(1, 1, 5), (1, 5, None)]
    assert spans((1, 1), (1, 5), (2, 7)) == [(1, 1, 5), (1, 5, 7), (2, 7, None)]
    assert spans((1, 1), (1, 5), (2, 5)) == [(1, 1, 5), (2, 5, None)]
    assert spans((1, 1), (1, 5), (2, 3), (3, 3)) == [(1, 1, 3), (3, 3, None)]
    assert spans((1, 1), (2, 1)) == [(2, 1, None)]
    assert spans((1, 1), (2, 9), (2, 12), (3, 10)) == [(1, 1, 9), (2, 9, 10), (3, 10, None)]


@pytest.mark.rule("J4")
def test_gap_ends_the_segment_before_it_only_when_a_segment_is_behind_it() -> None:
    """That makes the declaration of a gap harmless until the repair is complete."""
    assert spans((1, 1), (1, 8), gaps=((5, 7),)) == [(1, 1, 5), (1, 8, None)]
    assert spans((1, 1), (1, 5), (1, 8), gaps=((4, 7),)) == [(1, 1, 4), (1, 8, None)]
    assert spans((1, 1), gaps=((5, 7),)) == [(1, 1, None)]
    assert spans((1, 1), (1, 8), gaps=((1, 7),)) == [(1, 8, None)]


@pytest.mark.req("JR-1")
@pytest.mark.rule("J2")
async def test_journal_rotates_by_size_and_reads_on_across_segments(tmp_path: Path) -> None:
    """A batch is never split; each file begins with the number in its name."""
    async with open_journals(tmp_path, settings=SmallSettings(segment_bytes=400)) as journals:
        journal = journals.open("a")
        for seq in range(1, 9):
            await append(journal, [make_line(seq)], seq)
        assert read(journal, starting=False) == make_lines(1, 8)
    names = [path.name for path in sorted((tmp_path / "a").iterdir())]
    assert names == [f"{first:016d}-0001.jsonl" for first in (1, 4, 7)]
    async with open_journals(tmp_path) as journals:
        assert journals.names() == ["a"]
        journal = journals.open("a")
        assert read(journal) == make_lines(1, 8)
        await append(journal, [make_line(9)], 9)
        assert (tmp_path / "a" / names[-1]).read_bytes() == b"".join(make_lines(7, 9))


@pytest.mark.rule("J4")
@pytest.mark.parametrize(
    ("gone", "match"), [(1, "expected seq 1, got no segment before seq 4"), (4, "got the end")]
)
async def test_missing_segment_is_damage(tmp_path: Path, gone: int, match: str) -> None:
    """The first one, or one in the middle; a missing last one only a reader's cursor can prove."""
    for first in (1, 4, 7):
        write_segment(tmp_path / "a", make_lines(first, first + 2), first_seq=first)
    (tmp_path / "a" / f"{gone:016d}-0001.jsonl").unlink()
    async with open_journals(tmp_path) as journals:
        with pytest.raises(JournalDamaged, match=match):
            read(journals.open("a"))


async def test_chunk_names_file_line_and_offset_of_what_the_caller_refuses(tmp_path: Path) -> None:
    """Also behind the first chunk, behind a block's end, and behind a snapshot."""
    lines = make_lines(1, 3000, text="x" * 100)
    path = write_segment(tmp_path / "a", lines)
    async with open_journals(tmp_path) as journals:
        journal = journals.open("a")
        seq = 0
        for chunk in journal.replay(starting=True):
            assert isinstance(chunk, Chunk)
            assert chunk.first_seq == seq + 1
            last = len(chunk.lines) - 1
            seq += len(chunk.lines)
            error = chunk.damaged(last, "no")
            assert (error.file, error.line, error.offset) == (str(path), seq, sum(map(len, lines[: seq - 1])))
        assert seq == 3000


@pytest.mark.rule("J6")
async def test_snapshot_spares_reading_what_it_covers(tmp_path: Path) -> None:
    """Damage that lies before the snapshot is not even seen; the lines behind it are read."""
    async with open_journals(tmp_path) as journals:
        journal = journals.open("a")
        await append(journal, make_lines(1, 5), 5)
        journal.publish_snapshot(5, b'{"five":[5]}')
        await append(journal, make_lines(6, 7), 7)
        assert journal.snapshot_seq == 5
        assert len(read(journal, starting=False)) == 2
    path = tmp_path / "a" / "0000000000000001-0001.jsonl"
    path.write_bytes(path.read_bytes().replace(b"outside/2", b"outside/9"))
    async with open_journals(tmp_path) as journals:
        journal = journals.open("a")
        assert read(journal) == make_lines(6, 7)
        snapshot = read_snapshot(journal)
        assert snapshot is not None
        assert (snapshot.seq, snapshot.body) == (5, b'{"five":[5]}')


@pytest.mark.rule("J6")
async def test_snapshot_of_an_earlier_seq_than_the_last_is_found_by_counting(tmp_path: Path) -> None:
    """Published late, it does not know where the next line begins."""
    async with open_journals(tmp_path, settings=SmallSettings(segment_bytes=400)) as journals:
        journal = journals.open("a")
        await append(journal, make_lines(1, 9), 9)
        journal.publish_snapshot(5, b"{}")
        await append(journal, make_lines(10, 11), 11)
        assert read(journal, starting=False) == make_lines(6, 11)
        assert read(journals.open("a")) == make_lines(6, 11)


@pytest.mark.rule("J6")
async def test_snapshot_beyond_the_watermark_is_not_published(tmp_path: Path) -> None:
    """A snapshot of lines that failed would keep what never happened."""
    files = FaultyFiles(tmp_path)
    async with open_journals(tmp_path, files) as journals:
        journal = journals.open("a")
        await append(journal, make_lines(1, 2), 2)
        files.fail("fdatasync")
        journal.append(make_line(3), 3)
        journal.publish_snapshot(3, b"{}")
        await journal.settled()
        await journal.reopen()
        journal.publish_snapshot(3, b"{}")
        await append(journal, [make_line(3, text="again")], 3)
        assert journal.snapshot_seq == 0
    assert list((tmp_path / "a").glob("snapshot*")) == []


@pytest.mark.req("JR-3")
@pytest.mark.rule("J6")
async def test_two_snapshots_are_kept_and_the_older_stands_in_for_a_damaged_one(tmp_path: Path) -> None:
    """Newest, older, and the whole journal, in this order; what was passed over is reported."""
    async with open_journals(tmp_path) as journals:
        journal = journals.open("a")
        for seq in range(1, 7):
            await append(journal, [make_line(seq)], seq)
            journal.publish_snapshot(seq, b'{"seq":%d}' % seq)
    newest, older = sorted((tmp_path / "a").glob("snapshot*"), reverse=True)
    assert newest.name == "snapshot-0000000000000006.json"
    async with open_journals(tmp_path) as journals:
        journal = journals.open("a")
        assert read(journal) == []
        newest.write_bytes(newest.read_bytes().replace(b'"seq":6', b'"seq":7'))
        assert read(journal) == [make_line(6)]
        assert [str(newest) in str(why) for why in journal.skipped_snapshots] == [True]
        assert journal.snapshot_seq == 5
        older.write_bytes(b"")
        assert read(journal) == make_lines(1, 6)
        assert len(journal.skipped_snapshots) == 2


@pytest.mark.rule("J4", "J6")
async def test_lines_that_a_snapshot_knows_must_be_there(tmp_path: Path) -> None:
    """A torn end below the snapshot's number is damage, and so is a file that ends before it."""
    async with open_journals(tmp_path) as journals:
        journal = journals.open("a")
        await append(journal, make_lines(1, 5), 5)
        journal.publish_snapshot(5, b"{}")
    path = tmp_path / "a" / "0000000000000001-0001.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    async with open_journals(tmp_path) as journals:
        with pytest.raises(JournalDamaged, match="up to seq 5, of which there is a snapshot"):
            read(journals.open("a"))


async def test_snapshot_that_fails_is_harmless(tmp_path: Path) -> None:
    """No room for it: the journal goes on."""
    files = FaultyFiles(tmp_path)
    async with open_journals(tmp_path, files) as journals:
        journal = journals.open("a")
        await append(journal, [make_line(1)], 1)
        files.fail("replace")
        journal.publish_snapshot(1, b"{}")
        await append(journal, [make_line(2)], 2)
        assert (journal.problem, journal.snapshot_seq) == (None, 0)
        journal.publish_snapshot(2, b"{}")
        await append(journal, [make_line(3)], 3)
        assert journal.snapshot_seq == 2
    assert [path.name for path in (tmp_path / "a").glob("snapshot*")] == ["snapshot-0000000000000002.json"]


def test_what_is_set_aside_twice_is_one_file(tmp_path: Path) -> None:
    """A copy that a crash cut short is completed; other bytes get a name of their own."""
    files, path = Files(), tmp_path / "x.jsonl"
    kept = set_aside(files, path, 7, "torn", b"abc")
    assert set_aside(files, path, 7, "torn", b"abc") == kept
    assert set_aside(files, path, 7, "torn", b"abcdef") == kept
    assert kept.read_bytes() == b"abcdef"
    other = set_aside(files, path, 7, "torn", b"xyz")
    assert (other.name, kept.name) == ("x.jsonl.torn-7-2", "x.jsonl.torn-7")
