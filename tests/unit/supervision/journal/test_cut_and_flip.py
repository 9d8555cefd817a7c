"""Rule J4: what a crash can leave is cut off; everything else is damage, with its place."""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path

import pytest

from understudy.protocols.errors import JournalDamaged
from understudy.supervision.testing.files import FaultyFiles
from understudy.supervision.testing.journals import (
    append,
    make_line,
    make_lines,
    open_journals,
    read,
    write_segment,
)

TEXT = "a b@c*J " * 12  # spaces and @ become NULs by one flipped bit, * and J newlines; lines cross sectors


@pytest.mark.req("JR-3")
@pytest.mark.rule("J4")
async def test_journal_cut_at_every_byte_recovers_to_whole_lines_and_takes_new_ones(tmp_path: Path) -> None:
    """What is left after the cut is a prefix of whole lines; the rest is kept aside; appends go on."""
    lines = make_lines(1, 4, text=TEXT[:40])
    whole = b"".join(lines)
    ends = [0, *accumulate(map(len, lines))]
    async with open_journals(tmp_path, FaultyFiles(tmp_path)) as journals:
        for cut in range(len(whole) + 1):
            path = write_segment(tmp_path / f"cut-{cut}", [whole[:cut]])
            journal = journals.open(f"cut-{cut}")
            kept = max(index for index, end in enumerate(ends) if end <= cut)

            assert read(journal) == lines[:kept]
            assert journal.watermark == kept
            torn = whole[ends[kept] : cut]
            assert (journal.torn.kept.read_bytes() if journal.torn else b"") == torn
            new = make_line(kept + 1, text="new")
            await append(journal, [new], kept + 1)
            assert path.read_bytes() == b"".join([*lines[:kept], new])
            assert read(journals.open(f"cut-{cut}")) == [*lines[:kept], new]


@pytest.mark.req("JR-3")
@pytest.mark.rule("J4")
async def test_bit_flipped_anywhere_in_a_complete_line_is_refused_with_its_place(tmp_path: Path) -> None:
    """Every bit of every line, the newlines and the last line included; nothing is changed."""
    lines = make_lines(1, 3, text=TEXT)
    whole = b"".join(lines)
    starts = [0, *accumulate(map(len, lines))]
    path = write_segment(tmp_path / "a", lines)
    async with open_journals(tmp_path) as journals:
        journal = journals.open("a")
        for bit in range(len(whole) * 8):
            at = bit // 8
            flipped = bytearray(whole)
            flipped[at] ^= 1 << bit % 8
            path.write_bytes(flipped)
            with pytest.raises(JournalDamaged) as caught:
                read(journal)
            line = max(index for index, start in enumerate(starts[:-1]) if start <= at)
            damage = caught.value
            assert (damage.file, damage.line, damage.offset) == (str(path), line + 1, starts[line]), (
                at,
                bit % 8,
            )
            assert path.read_bytes() == flipped
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@pytest.mark.req("JR-3")
@pytest.mark.rule("J4")
async def test_earlier_segment_that_was_cut_anywhere_is_damaged(tmp_path: Path) -> None:
    """Only the last segment can have a torn end: a later one proves that the earlier was durable."""
    first = make_lines(1, 2)
    whole = b"".join(first)
    path = write_segment(tmp_path / "a", first)
    write_segment(tmp_path / "a", make_lines(3, 4), first_seq=3)
    async with open_journals(tmp_path) as journals:
        assert len(read(journals.open("a"))) == 4
        for cut in range(len(whole)):
            path.write_bytes(whole[:cut])
            with pytest.raises(JournalDamaged) as caught:
                read(journals.open("a"))
            assert caught.value.file == str(path)
            assert caught.value.offset == (0 if cut < len(first[0]) else len(first[0]))


def nul_cases() -> list[tuple[str, bytes, int | None]]:
    """Name, the file's bytes, and how many lines are whole before a torn end (None: damage)."""
    good, sector = make_line(1), 512
    fill = sector - len(good)
    later, knows = make_line(3, mark=0), make_line(3, mark=2)
    flipped = bytearray(good + make_line(2, mark=0))
    flipped[len(good) + 30] = 0
    return [
        ("NULs to the end of the file", good + b"\0" * 100, 1),
        ("NULs only", b"\0" * 700, 0),
        (
            "NULs to the end of a sector, then the rest of the append",
            good + b"\0" * fill + b'ab"}\n' + later,
            1,
        ),
        ("half a line, then a whole sector of NULs", good + b"x" * fill + b"\0" * sector + b"x\n" + later, 1),
        ("NULs, but a later line knows the lost one", good + b"\0" * fill + b'ab"}\n' + knows, None),
        ("NULs that end in the middle of a sector", good + b"\0" * (fill - 9) + b'ab"}\n' + later, None),
        (
            "NULs that begin in the middle of a line",
            good + b'{"se' + b"\0" * (fill - 4) + b"x\n" + later,
            None,
        ),
        ("one NUL in a complete line", bytes(flipped), None),
        ("an unterminated line after NULs", good + b"\0" * fill + b"abc", 1),
        ("a complete last line with a wrong checksum", good + make_line(2).replace(b"text", b"tact"), None),
        ("a whole line without its newline", good + make_line(2)[:-1], 1),
        ("a whole line with another byte for its newline", good + make_line(2)[:-1] + b"\x0b", None),
    ]


@pytest.mark.rule("J4")
@pytest.mark.parametrize(("name", "data", "whole"), nul_cases(), ids=[case[0] for case in nul_cases()])
async def test_only_what_an_interrupted_append_can_leave_is_torn(
    tmp_path: Path, name: str, data: bytes, whole: int | None
) -> None:
    """NULs count as unwritten when they begin and end where sectors or appends do."""
    path = write_segment(tmp_path / "a", [data])
    async with open_journals(tmp_path) as journals:
        journal = journals.open("a")
        if whole is None:
            with pytest.raises(JournalDamaged):
                read(journal)
            assert path.read_bytes() == data
        else:
            assert len(read(journal)) == whole, name
            assert journal.torn is not None
            assert path.read_bytes() + journal.torn.kept.read_bytes() == data


@pytest.mark.rule("J4")
async def test_torn_end_that_a_reader_knows_as_durable_is_damage(tmp_path: Path) -> None:
    """`proven` says what a receiver or a cursor has seen: losing that is no crash's doing."""
    write_segment(tmp_path / "a", [*make_lines(1, 2), make_line(3)[:-5]])
    async with open_journals(tmp_path) as journals:
        with pytest.raises(JournalDamaged, match="seq 3 is not readable, but everything up to seq 3"):
            read(journals.open("a"), proven=3)
        write_segment(tmp_path / "b", make_lines(1, 2))
        with pytest.raises(JournalDamaged, match="expected everything up to seq 9"):
            read(journals.open("b"), proven=9)
        assert len(read(journals.open("a"), proven=2)) == 2


@pytest.mark.rule("J4")
async def test_torn_bytes_of_an_earlier_crash_are_never_overwritten(tmp_path: Path) -> None:
    """Two crashes that tear at the same offset leave two files."""
    async with open_journals(tmp_path) as journals:
        for torn in (b'{"seq":2,"first', b'{"seq":2,"second'):
            write_segment(tmp_path / "a", [make_line(1), torn])
            read(journals.open("a"))
    kept = sorted(path.read_bytes() for path in (tmp_path / "a").glob("*.torn-*"))
    assert kept == [b'{"seq":2,"first', b'{"seq":2,"second']
