"""What people read: colours where they belong, and nothing of others taken as markup."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from rich.console import Console

from understudy.cli.output import console, table, when


@pytest.mark.req("CLI-1")
def test_a_pipe_gets_no_colour_and_whole_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wide lines are not folded at 80 columns when nobody asked for columns."""
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    console().print("x" * 150, style="bold red")
    assert capsys.readouterr().out == "x" * 150 + "\n"


@pytest.mark.req("CLI-1")
@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_a_reader_that_has_gone_ends_a_command_with_141(arguments: list[str]) -> None:
    """Without a word, as the page on the command line says; rich alone would exit with 1."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "understudy", "journal", "verify", "--home"]
    with tempfile.TemporaryDirectory() as home:
        Path(home, "state", "journals").mkdir(parents=True)
        Path(home, "state", "format.json").write_text('{"format": 1}\n')
        done = subprocess.run(
            [*command, home, *arguments], check=False, stdout=writing, stderr=subprocess.PIPE, timeout=60
        )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.req("CLI-1")
def test_a_title_with_markup_is_shown_as_it_is() -> None:
    """A task's title comes from anybody: `[red]` in it is text."""
    out = io.StringIO()
    Console(file=out, width=60).print(table(["title"], [["[red]x[/] [link=http://a]b[/link] :smile:"]]))
    assert "[red]x[/] [link=http://a]b[/link] :smile:" in out.getvalue()


@pytest.mark.req("CLI-1")
def test_ids_and_states_stay_in_one_piece_in_a_narrow_terminal() -> None:
    """They are copied into the next command; what is long is folded instead."""
    out = io.StringIO()
    rows = [["task-123456", "succeeded", "a title " * 9, "a reason " * 9]]
    Console(file=out, width=40).print(table(["id", "state", "title", "why"], rows))
    assert "task-123456  succeeded" in out.getvalue()


@pytest.mark.req("CLI-1")
@pytest.mark.parametrize("width", [20, 40, 80])
def test_a_table_folds_its_cells_instead_of_cutting_them(width: int) -> None:
    """Every character is there, and no line is wider than the terminal."""
    word = "abcdefghij" * 8
    out = io.StringIO()
    Console(file=out, width=width).print(table(["id", "title"], [["task-1", word]]))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert "".join("".join(lines[1:]).split()).replace("task-1", "") == word


@pytest.mark.req("CLI-1")
def test_a_time_of_another_day_has_its_date() -> None:
    """And none at all is a dash."""
    assert len(when(0.0)) == len("1970-01-01 00:00:00")
    assert when(None) == "-"
