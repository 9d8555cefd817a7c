"""The page of error texts quotes texts that the code really has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("protocols", "supervision", "actors", "webui", "understudy")
PAGE = ROOT / "docs" / "how-to" / "troubleshooting.md"
ROW = re.compile(r"^\| `(?P<text>.*?)` \| ", re.MULTILINE)
BETWEEN_LITERALS = re.compile(r"""["']\s*\n\s*f?["']""")
SHORTEST = 4


def quoted() -> list[str]:
    """The texts of the page's left column."""
    return [found["text"] for found in ROW.finditer(PAGE.read_text())]


@pytest.fixture(scope="module")
def sources() -> str:
    """All of our code, with the pieces of each text put together and what is filled in left out."""
    files = (path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py")))
    joined = BETWEEN_LITERALS.sub("", "\n".join(path.read_text() for path in files))
    return re.sub(r"\{[^{}\"]*\}", "…", joined)


def parts(text: str) -> list[str]:
    """What stands between the dots of a quoted text, as far as it says something."""
    return [part for part in (each.strip(" ():,") for each in text.split("…")) if len(part) >= SHORTEST]


@pytest.mark.parametrize("text", quoted())
def test_each_quoted_text_is_in_the_code(text: str, sources: str) -> None:
    """Each part of it, as the code has it: a text that was changed is noticed here."""
    assert parts(text), text
    missing = [part for part in parts(text) if part not in sources]
    assert missing == []


def test_a_text_that_the_code_does_not_have_is_noticed(sources: str) -> None:
    """The check can fail."""
    assert "expected a unicorn" not in sources
    assert parts("expected … unicorns, got …") == ["expected", "unicorns, got"]
