"""The page of the documentation that shows a run, and the measurements beside it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks import table
from tests.benchmarks.run import ROOT

if TYPE_CHECKING:
    from datetime import date

    from tests.benchmarks.run import Report

PAGE = ROOT / "docs" / "explanation" / "benchmarks.md"
_SECTION = re.compile(r"(?s)(?<=\n## Measured\n).*?(?=\n## )")


def write(report: Report, day: date, page: Path = PAGE) -> None:
    """Put the run into the page's section "Measured", and every measurement into the JSON beside it.

    Raises:
        ValueError: the page has no such section.
    """
    text = page.read_text()
    if not _SECTION.search(text):
        msg = f"expected a section `## Measured` in {page}, with another after it"
        raise ValueError(msg)
    told = (
        f"\nOne run of `make bench` on {day.day} {day:%B %Y} ([every measurement]({page.stem}.json)). "
        f"{table.render(report)}"
    )
    page.write_text(_SECTION.sub(lambda _: told, text))
    page.with_suffix(".json").write_text(report.model_dump_json(indent=1) + "\n")
