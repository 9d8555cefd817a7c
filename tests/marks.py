"""Which requirements and rules the tests name, held against tests/requirements.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

MARKS: Mapping[str, tuple[str, str]] = {"req": ("due", "later"), "rule": ("rules", "rules_later")}
"""Each mark with its tables of requirements.toml: the ids that some test must name, and those that may be."""


@dataclass(frozen=True)
class Naming:
    """One mark of one test: `@pytest.mark.<mark>("<id>")`."""

    test: str
    mark: str
    id: str


def read_tables(file: Path) -> Mapping[str, Mapping[str, str]]:
    """The tables of requirements.toml: name to ids with what they say in short."""
    tables: Mapping[str, Mapping[str, str]] = tomllib.loads(file.read_text())
    return tables


def unknown(namings: Iterable[Naming], tables: Mapping[str, Mapping[str, str]]) -> list[str]:
    """A sentence for each mark whose id no table holds."""
    return [
        f"{naming.test}: expected an id of tests/requirements.toml, "
        f'got @pytest.mark.{naming.mark}("{naming.id}")'
        for naming in namings
        if all(naming.id not in tables[table] for table in MARKS[naming.mark])
    ]


def unnamed(namings: Iterable[Naming], tables: Mapping[str, Mapping[str, str]]) -> list[str]:
    """A sentence for each id that is due and that no test names."""
    named = {(naming.mark, naming.id) for naming in namings}
    return [
        f'{id_} ({text}): expected a test with @pytest.mark.{mark}("{id_}"), got none'
        for mark, (due, _) in MARKS.items()
        for id_, text in tables[due].items()
        if (mark, id_) not in named
    ]
