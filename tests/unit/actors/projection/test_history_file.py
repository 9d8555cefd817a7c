"""A day's file is completed as it would be written anew, without being held in memory."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from understudy.actors.projection import history_file
from understudy.actors.projection.history_file import complete
from understudy.supervision.files import Files
from understudy.supervision.testing.files import FaultyFiles, PowerLost

if TYPE_CHECKING:
    from pathlib import Path


def line(number: int, text: str = "aye") -> bytes:
    """A message as a day's file has it."""
    return json.dumps({"id": f"msg-{number}", "text": text}).encode() + b"\n"


def lines(*numbers: int) -> dict[str, bytes]:
    """Messages by their ids."""
    return {f"msg-{number}": line(number) for number in numbers}


@pytest.mark.req("MG-6")
@pytest.mark.parametrize("piece_bytes", [1, 7, 33, 1 << 20])
def test_a_file_is_completed_wherever_its_pieces_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece_bytes: int
) -> None:
    """What is there stays as it is and where it is; what is new comes last."""
    monkeypatch.setattr(history_file, "PIECE_BYTES", piece_bytes)
    path = tmp_path / "day.jsonl"
    assert complete(Files(), path, lines(1, 2)) is False
    assert complete(Files(), path, lines(2, 3)) is False
    assert complete(Files(), path, lines(4)) is False
    assert path.read_bytes() == line(1) + line(2) + line(3) + line(4)
    assert [entry.name for entry in tmp_path.iterdir()] == ["day.jsonl"]


@pytest.mark.req("MG-6")
def test_a_file_that_lacks_nothing_is_left_alone(tmp_path: Path) -> None:
    """A message that comes again is no reason to write a long day anew."""
    path = tmp_path / "day.jsonl"
    complete(Files(), path, lines(1, 2, 3))
    before = path.stat().st_ino
    assert complete(Files(), path, lines(2)) is False
    assert path.stat().st_ino == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["day.jsonl"]


@pytest.mark.req("MG-6")
@pytest.mark.parametrize(
    "edited",
    [
        line(1) + line(2, "edited") + line(3),
        line(1) + b"not ours\n" + line(2) + b"[]\n" + b'{"id":7}\n' + line(3),
        line(1) + line(2) + line(2, "twice") + line(3),
        line(1) + line(2) + line(3)[:-1],
    ],
)
def test_what_somebody_else_did_to_a_file_is_undone_and_told(tmp_path: Path, edited: bytes) -> None:
    """Messages that memory has get their text back, what is no message goes, no line is glued to the next."""
    path = tmp_path / "day.jsonl"
    path.write_bytes(edited)
    assert complete(Files(), path, lines(2, 4)) is True
    assert path.read_bytes() == line(1) + line(2) + line(3) + line(4)


@pytest.mark.req("MG-6")
def test_a_power_failure_at_any_operation_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    """Never a mixture; and the next time completes it."""
    old, new = line(1) + line(2), line(1) + line(2) + line(3)
    crash = 0
    while True:
        crash += 1
        home = tmp_path / str(crash)
        home.mkdir()
        files = FaultyFiles(home)
        path = home / "day.jsonl"
        complete(files, path, lines(1, 2))
        files.crash_at(len(files.operations) + crash)
        try:
            complete(files, path, lines(3))
        except PowerLost:
            files.power_failure()
            files.restart()
        else:
            break
        assert path.read_bytes() in {old, new}
        complete(files, path, lines(3))
        assert path.read_bytes() == new
    assert crash > 3
