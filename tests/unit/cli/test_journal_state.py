"""`journal export | state | diff`: from the files of a home, by the cast's classes or a program's own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import trio

from tests.unit.supervision.bank import Account, Deposit
from understudy import ActorSystem
from understudy.actors.evolver import EvolverActor
from understudy.cli.app import run
from understudy.cli.exits import Exit
from understudy.protocols.evolution import FailEvolving

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.req("JR-9", "JR-10", "CLI-1")]
ACTOR = "tests.unit.supervision.bank:Account"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home of a program of somebody's own: two accounts, alice with three turns."""

    async def live() -> None:
        async with ActorSystem(tmp_path / "home") as system:
            alice = await system.spawn(Account, name="alice")
            bob = await system.spawn(Account, name="bob")
            for cents in (5, 20, 100):
                await alice.ask_async(Deposit(cents=cents))
            await bob.ask_async(Deposit(cents=7))

    trio.run(live)
    return tmp_path / "home"


def out(capsysbinary: pytest.CaptureFixture[bytes], *arguments: str, code: Exit = Exit.OK) -> str:
    """What a command prints; on standard error when it fails."""
    assert run(arguments) == code
    captured = capsysbinary.readouterr()
    return (captured.out if code == Exit.OK else captured.err).decode()


def test_export_prints_the_lines_as_they_are_in_the_file(
    home: Path, capsysbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    """All journals one after another, or a range of one; to a file it is the same bytes."""
    everything = out(capsysbinary, "journal", "export", "--home", str(home))
    turns = [json.loads(line) for line in everything.splitlines()]
    assert [(turn["journal"], turn["seq"]) for turn in turns] == [
        ("alice", 1), ("alice", 2), ("alice", 3), ("bob", 1)
    ]  # fmt: skip
    segment = next((home / "state" / "journals" / "alice").glob("*.jsonl"))
    part = out(capsysbinary, "journal", "export", "alice", "--from", "2", "--to", "2", "--home", str(home))
    assert part.replace('"journal":"alice",', "") == segment.read_text().splitlines(keepends=True)[1]
    file = tmp_path / "all.jsonl"
    assert out(capsysbinary, "journal", "export", "-o", str(file), "--home", str(home)) == ""
    assert file.read_text() == everything
    assert "no journal" in out(
        capsysbinary, "journal", "export", "nobody", "--home", str(home), code=Exit.NOT_FOUND
    )


def test_export_of_a_damaged_journal_prints_what_comes_before_it(
    home: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """The code says so, and the error says where."""
    segment = next((home / "state" / "journals" / "alice").glob("*.jsonl"))
    segment.write_bytes(segment.read_bytes().replace(b'"cents":20', b'"cents":21'))
    assert run(("journal", "export", "alice", "--home", str(home))) == Exit.DAMAGED
    captured = capsysbinary.readouterr()
    assert len(captured.out.splitlines()) == 1
    assert b"line 2" in captured.err


def test_state_and_diff_show_what_was_and_what_changed(
    home: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """At a turn, at the last one, between two; as text and as JSON."""
    common = ("--home", str(home), "--actor", ACTOR)
    then = json.loads(out(capsysbinary, "journal", "state", "alice", "--at", "2", *common))
    assert (then["cents"], then["turns"]) == (25, 2)
    now = json.loads(out(capsysbinary, "journal", "state", "alice", "--json", *common))
    assert (now["seq"], now["state"]["cents"]) == (3, 125)
    shown = out(capsysbinary, "journal", "diff", "alice", "1", "3", *common)
    assert shown.splitlines() == ["~ /cents 5 -> 125", "~ /turns 1 -> 3"]
    found = json.loads(out(capsysbinary, "journal", "diff", "alice", "3", "0", "--json", *common))
    assert found["changes"][0] == {"path": "/cents", "op": "replace", "before": 125, "after": 0}
    assert out(capsysbinary, "journal", "diff", "alice", "3", "3", *common) == "nothing changed\n"


def test_state_of_an_evolver_is_shown_without_its_class(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """It is one of Understudy's own, though not in every cast."""

    async def live() -> None:
        async with ActorSystem(tmp_path) as system:
            evolver = await system.spawn(EvolverActor, name="evolver")
            await evolver.ask_async(FailEvolving(window=0, error="the model is down"))

    trio.run(live)
    state = json.loads(out(capsysbinary, "journal", "state", "evolver", "--home", str(tmp_path)))
    assert state["tried_at"] is not None


def test_what_can_not_be_shown_is_refused_with_the_reason(
    home: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """A turn that is not kept, a class that is not given, not there, or of another kind."""
    at = ("journal", "state", "alice", "--home", str(home))
    error = out(capsysbinary, *at, "--at", "4", "--actor", ACTOR, code=Exit.NOT_FOUND)
    assert "a seq from 0 to 3, which are kept, got 4" in " ".join(error.split())
    assert "--actor module:Class" in out(capsysbinary, *at, code=Exit.USAGE)
    for wrong in ("nowhere:Account", "tests.unit.supervision.bank:Nothing", "json:JSONDecoder", "x"):
        assert "expected --actor" in out(capsysbinary, *at, "--actor", wrong, code=Exit.USAGE)
