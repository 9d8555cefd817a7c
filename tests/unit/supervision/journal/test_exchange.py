"""What journals say of each other: a sender that lacks what was consumed is damaged (JR-10, D4)."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from understudy.cli.app import run
from understudy.cli.exits import Exit
from understudy.supervision.files import Files
from understudy.supervision.journal import claims_on, repair_journal, seal, verify
from understudy.supervision.testing.journals import write_segment

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.req("JR-10"), pytest.mark.rule("D4")]
LOST = "expected number 3 to b, which that one has consumed, got only {}: lines are missing"


def turn(seq: int, *, to: int = 0, stream: str = "", n: int = 0, inc: int = 1) -> bytes:
    """A line that sends number `to` to b, or consumes number `n` of `stream`."""
    sends: list[Any] = [{"to": "b", "n": to, "type": "Pay", "data": {}}] if to else []
    body: dict[str, Any] = {"seq": seq, "ts": 1, "cause": "a/1", "from": stream, "n": n, "mark": seq - 1}
    body |= {"inc": inc} if inc > 1 else {}
    return seal(json.dumps({**body, "events": [], "sends": sends}, separators=(",", ":")).encode()[:-1])


def snapshot(folder: Path, seq: int, last: dict[str, int], outbox: list[object]) -> None:
    """A snapshot as an actor writes it, with a state that is of no interest here."""
    body = json.dumps({"version": 1, "last": last, "outbox": outbox, "keys": [], "state": {"a": [1]}})
    head = f'{{"seq":{seq},"segment":"","line":0,"offset":0,"body":{body}'
    (folder / f"snapshot-{seq:016d}.json").write_bytes(seal(head.encode()))


def payments(journals: Path, *, kept: int) -> None:
    """a has sent three messages that b has consumed; a holds the first `kept` of them."""
    write_segment(journals / "a", [turn(seq, to=seq) for seq in range(1, kept + 1)])
    write_segment(journals / "b", [turn(seq, stream="a", n=seq) for seq in (1, 2, 3)])


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_a_sender_that_lacks_what_a_receiver_has_consumed_is_damaged_and_repaired(
    tmp_path: Path, kept: int
) -> None:
    """However whole its files are; its good lines stay, and its numbers are of a new incarnation."""
    payments(tmp_path, kept=kept)
    files = Files()
    a, b = verify(files, tmp_path)
    assert [damage.reason for damage in a.damage] == [LOST.format(kept)]
    assert b.whole
    report = repair_journal(files, tmp_path / "a", claim=claims_on(files, tmp_path)["a"])
    assert (report.lines, report.gaps, report.kept, report.incarnation) == (kept, (), (), 2)
    assert [damage.reason for damage in report.damage] == [LOST.format(kept)]
    assert all(one.whole for one in verify(files, tmp_path))
    assert claims_on(files, tmp_path)["a"].lost == ()


def test_snapshots_say_what_the_lines_before_them_did(tmp_path: Path) -> None:
    """Of the receiver what it has consumed, of the sender what it has sent, older incarnations left out."""
    payments(tmp_path, kept=2)
    snapshot(tmp_path / "a", 2, {}, [["b", 1, 4, []], ["b", 7, 2, []]])
    assert all(one.whole for one in verify(Files(), tmp_path))
    snapshot(tmp_path / "a", 2, {}, [["b", 1, 3, []]])
    snapshot(tmp_path / "b", 3, {"a": 3}, [])
    assert not verify(Files(), tmp_path)[0].whole


@pytest.mark.rule("D4")
def test_a_sender_whose_folder_is_gone_is_damaged_and_repaired(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It has lost all of it, and a start would block it: the commands must not call the home whole."""
    journals = tmp_path / "state" / "journals"
    payments(journals, kept=3)
    shutil.rmtree(journals / "a")
    assert [one.name for one in verify(Files(), journals) if not one.whole] == ["a"]
    home = ("--home", str(tmp_path))
    assert run(("journal", "verify", *home)) == Exit.DAMAGED
    assert LOST.format(0) in " ".join(capsys.readouterr().out.split())
    assert run(("journal", "repair", "a", *home)) == Exit.OK
    assert "a: repaired, 0 turns kept" in capsys.readouterr().out
    assert run(("journal", "verify", *home)) == Exit.OK


def test_the_new_incarnation_is_one_that_no_receiver_knows(tmp_path: Path) -> None:
    """Also where the file that said which one it was is gone."""
    payments(tmp_path, kept=0)
    with (tmp_path / "b" / "0000000000000001-0001.jsonl").open("ab") as file:
        file.write(turn(4, stream="a~3", n=1))
    report = repair_journal(Files(), tmp_path / "a", claim=claims_on(Files(), tmp_path)["a"])
    assert report.incarnation == 4


def test_of_a_damaged_sender_nothing_more_is_said(tmp_path: Path) -> None:
    """What it has sent can't be known; its own damage is told, and its repair starts new numbers anyway."""
    payments(tmp_path, kept=2)
    path = tmp_path / "a" / "0000000000000001-0001.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"cause"', b'"cauze"', 1))
    assert [damage.reason for damage in verify(Files(), tmp_path)[0].damage] == ["the checksum is wrong"]


def test_the_commands_find_and_repair_it_also_where_the_receiver_is_damaged_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the receiver has consumed behind its damage counts too: one repair does for all."""
    journals = tmp_path / "state" / "journals"
    payments(journals, kept=2)
    home = ("--home", str(tmp_path))
    assert run(("journal", "verify", *home)) == Exit.DAMAGED
    assert LOST.format(2) in " ".join(capsys.readouterr().out.split())
    path = journals / "b" / "0000000000000001-0001.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"cause"', b'"cauze"', 1))
    assert run(("journal", "repair", *home)) == Exit.OK
    told = capsys.readouterr().out
    assert "a: repaired, 2 turns kept" in told
    assert "b: repaired, 2 turns kept" in told
    assert run(("journal", "verify", *home)) == Exit.OK


def test_a_sender_that_writes_meanwhile_is_not_taken_for_damaged(tmp_path: Path) -> None:
    """It was read before it sent what its receiver, read later, has consumed already."""

    class Meanwhile(Files):
        def listdir(self, folder: Path) -> list[str]:
            if folder.name == "b":
                payments(tmp_path, kept=3)
            return super().listdir(folder)

    payments(tmp_path, kept=2)
    assert claims_on(Meanwhile(), tmp_path)["a"].lost == ()
