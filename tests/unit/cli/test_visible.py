"""Text of others never acts on the reader's terminal."""

from __future__ import annotations

import io
import sys

import pytest
from rich.console import Console

from understudy.cli.exits import Problem
from understudy.cli.output import Text, print_json, print_problem, table
from understudy.cli.visible import visible

ACTING = [chr(code) for code in (*range(9), *range(0x0B, 0x0D), *range(0x0E, 0x20), *range(0x7F, 0xA0))]
TURNING = list("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029")


@pytest.mark.parametrize("character", [*ACTING, *TURNING, "\udce9"])
def test_a_control_character_is_shown_and_not_sent(character: str) -> None:
    """In plain text, in styled text, in a row, in a cell and in a problem, on a pipe as on a terminal."""
    out = io.StringIO()
    screen = Console(file=out, force_terminal=True, color_system=None, width=80)
    screen.print(Text(f"a{character}b"))
    screen.print(Text.assemble((f"a{character}b", "bold"), f"a{character}b"))
    screen.print(table(["title"], [[f"a{character}b"]]))
    assert character not in out.getvalue()
    assert visible(f"a{character}b") in out.getvalue()


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("\x1b[2J", "␛[2J"),
        ("\x1b]0;title\x07", "␛]0;title␇"),
        ("\x9b2J", r"\x9b2J"),
        ("\u202egpj.exe", r"\u202egpj.exe"),
        ("\x7f", "␡"),
        ("r\udce9sum\udce9", r"r\xe9sum\xe9"),
        (" 1%\r50%\r99%\n", "99%\n"),
        (" 1%\r99%\r", "99%"),
        ("a\r\nb\r\n", "a\nb\n"),
        ("\tplain: é, 中, 😀\n", "\tplain: é, 中, 😀\n"),
    ],
)
def test_what_is_shown(given: str, shown: str) -> None:
    """Pictures, escapes where there are none, and the last state of a progress bar."""
    assert visible(given) == shown


def test_a_problem_shows_what_it_quotes(capsys: pytest.CaptureFixture[str]) -> None:
    """Errors quote what was given."""
    print_problem(Problem(title="a\x1b[2J", detail="b\x9b"), as_json=False)
    assert capsys.readouterr().err == "a␛[2J: b\\x9b\n"


def test_json_for_a_terminal_without_utf8_is_escaped_and_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A character that the encoding lacks is no question mark."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii", errors="replace"))
    print_json({"title": "é"})
    assert raw.getvalue() == b'{"title": "\\u00e9"}\n'
