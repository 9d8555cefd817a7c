"""`verify` finds every damage and changes nothing; `repair` keeps every good line (JR-3, rule D4)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from understudy.protocols.errors import JournalDamaged
from understudy.supervision.files import Files
from understudy.supervision.journal.repair import repair_journal
from understudy.supervision.journal.verify import verify, verify_journal
from understudy.supervision.testing.files import FaultyFiles, PowerLost
from understudy.supervision.testing.journals import (
    append,
    make_line,
    make_lines,
    open_journals,
    read,
    read_snapshot,
    write_segment,
)

FILES = Files()


def contents(folder: Path) -> dict[str, bytes]:
    """All files of the folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def wrong(line: bytes) -> bytes:
    """The line with one byte that is not what was written."""
    return line.replace(b'"cause"', b'"cauze"')


def damage_nothing(folder: Path) -> list[int]:
    """Two whole segments."""
    write_segment(folder, make_lines(1, 4))
    write_segment(folder, make_lines(5, 8), first_seq=5)
    return [1, 2, 3, 4, 5, 6, 7, 8]


def damage_middle(folder: Path) -> list[int]:
    """A wrong checksum in the first segment."""
    lines = make_lines(1, 4)
    write_segment(folder, [*lines[:1], wrong(lines[1]), *lines[2:]])
    write_segment(folder, make_lines(5, 8), first_seq=5)
    return [1, 3, 4, 5, 6, 7, 8]


def damage_edges(folder: Path) -> list[int]:
    """The last line of one segment and the first of the next: one gap over both."""
    first, second = make_lines(1, 4), make_lines(5, 8)
    write_segment(folder, [*first[:3], wrong(first[3])])
    write_segment(folder, [wrong(second[0]), *second[1:]], first_seq=5)
    return [1, 2, 3, 6, 7, 8]


def damage_last(folder: Path) -> list[int]:
    """The last line of all."""
    lines = make_lines(1, 4)
    write_segment(folder, [*lines[:3], wrong(lines[3])])
    return [1, 2, 3]


def damage_first(folder: Path) -> list[int]:
    """The first line of all."""
    lines = make_lines(1, 4)
    write_segment(folder, [wrong(lines[0]), *lines[1:]])
    return [2, 3, 4]


def damage_all(folder: Path) -> list[int]:
    """Every line."""
    write_segment(folder, map(wrong, make_lines(1, 3)))
    return []


def damage_two_places(folder: Path) -> list[int]:
    """Two lines apart in one segment, and one in the next."""
    first, second = make_lines(1, 6), make_lines(7, 9)
    write_segment(folder, [first[0], wrong(first[1]), first[2], wrong(first[3]), *first[4:]])
    write_segment(folder, [second[0], wrong(second[1]), second[2]], first_seq=7)
    return [1, 3, 5, 6, 7, 9]


def damage_newline(folder: Path) -> list[int]:
    """Another byte for a newline: two lines look like one, and neither is lost."""
    lines = make_lines(1, 4)
    write_segment(folder, [lines[0], lines[1][:-1] + b"\x0b", *lines[2:]])
    return [1, 2, 3, 4]


def damage_last_newline(folder: Path) -> list[int]:
    """Another byte for the last newline: no line is lost."""
    write_segment(folder, [*make_lines(1, 2), make_line(3)[:-1] + b"\x1a"])
    return [1, 2, 3]


def lose_segment(folder: Path) -> list[int]:
    """A file in the middle is gone."""
    for first in (1, 4, 7):
        write_segment(folder, make_lines(first, first + 2), first_seq=first)
    (folder / "0000000000000004-0001.jsonl").unlink()
    return [1, 2, 3, 7, 8, 9]


def lose_first_segment(folder: Path) -> list[int]:
    """The first file is gone."""
    write_segment(folder, make_lines(4, 6), first_seq=4)
    return [4, 5, 6]


def lose_line(folder: Path) -> list[int]:
    """A line was taken out, without a trace."""
    lines = make_lines(1, 4)
    write_segment(folder, [lines[0], *lines[2:]])
    return [1, 3, 4]


def repeat_line(folder: Path) -> list[int]:
    """A line is there twice."""
    lines = make_lines(1, 3)
    write_segment(folder, [lines[0], lines[1], lines[1], lines[2]])
    return [1, 2, 3]


def damage_with_void(folder: Path) -> list[int]:
    """Damage before a later epoch's segment, and void lines (damaged too) behind it."""
    lines = make_lines(1, 6)
    write_segment(folder, [lines[0], wrong(lines[1]), lines[2], lines[3], wrong(lines[4]), b"\xff" * 50])
    write_segment(folder, make_lines(4, 5, text="later"), first_seq=4, epoch=2)
    return [1, 3, 4, 5]


def claim_too_much(folder: Path) -> list[int]:
    """A line that says it knew itself as durable: no writer makes that."""
    write_segment(folder, [make_line(1), make_line(2, mark=2)])
    return [1]


def damage_about(folder: Path) -> list[int]:
    """`journal.json` itself."""
    write_segment(folder, make_lines(1, 2))
    (folder / "journal.json").write_text('{"incarnation":3,"gaps":[')
    return [1, 2]


DAMAGES = [
    damage_middle,
    damage_edges,
    damage_last,
    damage_first,
    damage_all,
    damage_two_places,
    damage_newline,
    damage_last_newline,
    lose_segment,
    lose_first_segment,
    lose_line,
    repeat_line,
    damage_with_void,
    claim_too_much,
    damage_about,
]


def seqs(lines: list[bytes]) -> list[int]:
    """The numbers of lines made by `make_line`."""
    return [int(line[len(b'{"seq":') : line.index(b",")]) for line in lines]


@pytest.mark.req("JR-3")
@pytest.mark.rule("J4", "D4")
@pytest.mark.parametrize("damage", DAMAGES)
async def test_repair_keeps_every_good_line_and_sets_the_rest_aside(
    tmp_path: Path, damage: Callable[[Path], list[int]]
) -> None:
    """Blocked before, whole after; a new incarnation; new lines go on behind the last one."""
    folder = tmp_path / "a"
    expected = damage(folder)
    before = contents(folder)
    async with open_journals(tmp_path) as journals:
        with pytest.raises(JournalDamaged):
            read(journals.open("a"))
        reported = verify_journal(FILES, folder)
        assert not reported.whole
        assert contents(folder) == before

        repaired = repair_journal(FILES, folder)
        assert repaired.damage == reported.damage
        assert repaired.incarnation > 1
        assert repaired.lines == len(expected)
        after = verify_journal(FILES, folder)
        assert after.whole, after.damage
        assert after.incarnation == repaired.incarnation

        journal = journals.open("a")
        lines = read(journal)
        assert seqs(lines) == expected
        assert journal.incarnation == repaired.incarnation
        new = journal.watermark + 1
        assert new > max(expected, default=0)
        await append(journal, [make_line(new)], new)
        assert seqs(read(journals.open("a"))) == [*expected, new]
        assert every_byte_is_kept(before, contents(folder))


def every_byte_is_kept(before: dict[str, bytes], after: dict[str, bytes]) -> bool:
    """Every old file is still there under some name (or was not touched)."""
    kept = set(after.values())
    return all(data in kept or any(new.startswith(data) for new in kept) for data in before.values())


async def test_repair_of_a_whole_journal_changes_nothing(tmp_path: Path) -> None:
    """No new incarnation, no file."""
    folder = tmp_path / "a"
    damage_nothing(folder)
    before = contents(folder)
    report = repair_journal(FILES, folder)
    assert (report.damage, report.kept, report.incarnation, report.lines) == ((), (), 1, 8)
    assert contents(folder) == before


@pytest.mark.req("JR-3")
async def test_second_repair_counts_the_incarnation_on_and_keeps_earlier_gaps(tmp_path: Path) -> None:
    """Gaps add up; numbers of each repair are their own."""
    folder = tmp_path / "a"
    damage_middle(folder)
    assert repair_journal(FILES, folder).gaps == ((2, 2),)
    path = folder / "0000000000000005-0001.jsonl"
    path.write_bytes(path.read_bytes().replace(make_line(6), wrong(make_line(6))))
    report = repair_journal(FILES, folder)
    assert (report.gaps, report.incarnation, report.lines) == (((2, 2), (6, 6)), 3, 6)
    assert verify_journal(FILES, folder).whole


@pytest.mark.req("JR-3")
@pytest.mark.parametrize("last", [wrong(make_line(3)), b""], ids=["damaged", "gone"])
async def test_snapshot_that_knows_a_lost_last_line_still_counts_after_repair(
    tmp_path: Path, last: bytes
) -> None:
    """What the snapshot holds is not lost, and its number is not given away again."""
    folder = tmp_path / "a"
    async with open_journals(tmp_path) as journals:
        journal = journals.open("a")
        await append(journal, make_lines(1, 3), 3)
        journal.publish_snapshot(3, b'{"three":3}')
    path = folder / "0000000000000001-0001.jsonl"
    path.write_bytes(b"".join([*make_lines(1, 2), last]))
    async with open_journals(tmp_path) as journals:
        assert not verify_journal(FILES, folder).whole
        report = repair_journal(FILES, folder)
        assert report.gaps == ((3, 3),)
        assert verify_journal(FILES, folder).whole
        journal = journals.open("a")
        snapshot = read_snapshot(journal)
        assert snapshot is not None
        assert (snapshot.seq, snapshot.body, journal.watermark) == (3, b'{"three":3}', 3)
        await append(journal, [make_line(4)], 4)
        assert seqs(read(journals.open("a"))) == [4]


@pytest.mark.req("JR-3")
@pytest.mark.parametrize("damage", DAMAGES)
async def test_repair_that_is_cut_short_anywhere_can_be_run_again(
    tmp_path: Path, damage: Callable[[Path], list[int]]
) -> None:
    """A power failure at each of its operations: afterwards it is damaged still or repaired already."""
    crash_at = 0
    crashed = True
    while crashed:
        crash_at += 1
        root = tmp_path / str(crash_at)
        folder = root / "a"
        expected = damage(folder)
        before = contents(folder)
        files = FaultyFiles(root)
        files.crash_at(crash_at)
        try:
            repair_journal(files, folder)
            crashed = False
            files.restart()
        except PowerLost:
            files.power_failure()
        first = verify_journal(FILES, folder)
        assert not first.whole or first.incarnation > 1
        repair_journal(files, folder)
        assert verify_journal(FILES, folder).whole
        assert every_byte_is_kept(before, contents(folder))
        async with open_journals(root, files) as journals:
            assert seqs(read(journals.open("a"))) == expected
    assert crash_at > 3


async def test_verify_tells_of_each_journal_with_file_line_and_offset(tmp_path: Path) -> None:
    """Two damages in one file, none in the other journal; a torn end is no damage."""
    damage_two_places(tmp_path / "a")
    write_segment(tmp_path / "b", [*make_lines(1, 2), b'{"seq":3'])
    first, second = verify(FILES, tmp_path)
    size = len(make_line(1))
    assert [(damage.line, damage.offset, damage.reason) for damage in first.damage] == [
        (2, size, "the checksum is wrong"),
        (4, 3 * size, "the checksum is wrong"),
        (2, size, "the checksum is wrong"),
    ]
    assert (second.name, second.whole, second.lines, second.last_seq, second.unfinished_bytes) == (
        "b",
        True,
        2,
        2,
        8,
    )
