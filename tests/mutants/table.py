"""The table of mutants, and how one is put into a copy of the tree."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

ROOT = Path(__file__).parents[2]
TABLE = Path(__file__).with_name("mutants.toml")


class Mutant(BaseModel):
    """One change that breaks one rule.

    Attributes:
        rule: the rule's name in docs/explanation/durability.md.
        breaks: what the program does then, in a sentence.
        file: the source that is changed, from the top of the checkout.
        old, new: the text that is there once, and what stands in its place.
        caught_by: the test that fails, as pytest names it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: str = Field(pattern=r"^[A-Z]\d$")
    breaks: str = Field(min_length=10)
    file: str
    old: str = Field(min_length=1)
    new: str
    caught_by: str = Field(pattern=r"^tests/.*\.py::test_\w+")


class MisfitError(Exception):
    """A mutant whose text is not there once: the source has changed, and the table has to follow."""


def read_table() -> list[Mutant]:
    """All mutants, in the order of the table."""
    return [Mutant.model_validate(entry) for entry in tomllib.loads(TABLE.read_text())["mutant"]]


def mutated(mutant: Mutant, source: str) -> str:
    """The source with the mutant in it.

    Raises:
        MisfitError: the text to be changed is not there, or more than once.
    """
    count = source.count(mutant.old)
    if count != 1:
        raise MisfitError(
            f"{mutant.rule}, {mutant.file}: expected the text that changes once, got it {count} times:\n"
            f"{mutant.old}"
        )
    return source.replace(mutant.old, mutant.new)
