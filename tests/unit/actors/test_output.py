from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.actors.workers.output import Capture, decode_tail, excerpt
from understudy.protocols.tasks import Output
from understudy.supervision.testing import MemoryFiles


async def test_a_short_output_needs_no_file(tmp_path: Path) -> None:
    """All of it is in the record."""
    capture = Capture(tmp_path, "state/output/task-1-1.log")
    await capture.write(b"hello ")
    await capture.write("wörld\n".encode())
    output = await capture.close()
    assert output.text == "hello wörld\n"
    assert (output.total_bytes, output.cut, output.file) == (13, False, None)
    assert not (tmp_path / "state").exists()


@pytest.mark.req("WK-2")
async def test_a_long_output_is_cut_in_the_record_and_whole_in_the_file(tmp_path: Path) -> None:
    """The record has its end, the file all of it, in order, whatever the chunks."""
    capture = Capture(tmp_path, "state/output/task-1-1.log", record_bytes=100, file_bytes=10_000)
    whole = b"".join(b"line %d\n" % number for number in range(200))
    for start in range(0, len(whole), 37):
        await capture.write(whole[start : start + 37])
    output = await capture.close()
    assert output.text == whole[-100:].decode()
    assert (output.total_bytes, output.cut) == (len(whole), True)
    assert output.file == "state/output/task-1-1.log"
    assert not output.file_cut
    assert whole == (tmp_path / output.file).read_bytes()


async def test_the_file_is_bounded_too_and_says_so(tmp_path: Path) -> None:
    """It keeps the start, so that start and end of a gigabyte are both there."""
    capture = Capture(tmp_path, "out.log", record_bytes=10, file_bytes=25)
    for _ in range(10):
        await capture.write(b"0123456789")
    output = await capture.close()
    assert (output.text, output.total_bytes, output.file_cut) == ("0123456789", 100, True)
    assert (tmp_path / "out.log").read_bytes() == b"0123456789012345678901234"


async def test_a_file_that_cannot_be_written_costs_the_file_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The task goes on, and its record is there."""
    (tmp_path / "state").write_text("a file where a folder should be")
    capture = Capture(tmp_path, "state/output/x.log", record_bytes=4)
    await capture.write(b"abcdefgh")
    await capture.write(b"ij")
    output = await capture.close()
    assert (output.text, output.file, output.cut) == ("ghij", None, True)
    assert "can't keep the output" in caplog.text


async def test_the_file_is_on_the_disk_of_the_home() -> None:
    """A home in memory has its outputs there too: a simulation leaves nothing on the machine."""
    files, home = MemoryFiles(), Path("/home-in-memory")
    capture = Capture(home, "out/x.log", record_bytes=4, files=files)
    await capture.write(b"abcdefgh")
    await capture.close()
    assert files.everything() == {home / "out" / "x.log": b"abcdefgh"}
    assert not (home / "out").is_dir()


def test_text_that_starts_inside_a_character_begins_with_the_next_one() -> None:
    """The cut must not make up characters at the start."""
    data = "äöü".encode()
    assert decode_tail(data[1:]) == "öü"
    assert decode_tail(b"a\x00b\xff") == "a\ufffdb\ufffd"


@given(st.text(max_size=400), st.integers(8, 200), st.integers(0, 1_000))
def test_an_excerpt_is_bounded_and_says_when_it_is_cut(text: str, limit: int, lost: int) -> None:
    """Short texts as they are; of long ones start and end, and how much is missing."""
    text = text.replace("\x00", "")  # as decode_tail leaves it
    size = len(text.encode())
    output = Output(text=text, total_bytes=size + lost, cut=lost > 0)
    short, cut = excerpt(output, limit)
    if size <= limit and not lost:
        assert (short, cut) == (text, False)
        return
    assert cut
    assert len(short.encode()) <= limit + len("\n[… 1234567 bytes left out …]\n".encode())
    start, _, rest = short.partition("[… ")
    number, _, end = rest.partition(" bytes left out …]\n")
    kept = len(start.removesuffix("\n").encode()) + len(end.encode())
    assert lost == 0 or start == ""
    assert int(number) >= size + lost - kept - 1
    assert text.endswith(end)
