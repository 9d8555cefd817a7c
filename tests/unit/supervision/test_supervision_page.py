"""The page on supervision: its program runs and prints what the page says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[3] / "docs" / "explanation" / "supervision.md"


@pytest.mark.req("RT-6")
def test_the_program_on_the_page_prints_what_the_page_says() -> None:
    """A page whose example has gone stale fails here."""
    blocks = dict(re.findall(r"```(python|text)\n(.*?)```", PAGE.read_text(), re.DOTALL))
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", blocks["python"]],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (0, blocks["text"])
