"""The page that describes the format says what is so."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from understudy.supervision.journal import is_sealed
from understudy.supervision.testing.journals import make_line

PAGE = Path(__file__).parents[4] / "docs" / "reference" / "journal-format.md"


@pytest.mark.req("JR-1")
@pytest.mark.rule("J3")
def test_page_shows_a_real_line_and_a_check_that_works() -> None:
    """The example is sealed, and the published recipe agrees with ours on good and bad lines."""
    text = PAGE.read_text()
    (example,) = re.findall(r"```json\n(.*?\n)```", text, re.DOTALL)
    (recipe,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, object] = {}
    exec(recipe, names)  # noqa: S102 - the page's own code
    is_whole = cast("Callable[[bytes], bool]", names["is_whole"])
    assert is_sealed(example.encode())
    for line in (
        example.encode(),
        make_line(1),
        make_line(1)[:-1],
        make_line(1).replace(b"1", b"2"),
        b"\n",
        b"",
    ):
        assert is_whole(line) == is_sealed(line), line
