"""The table of mutants is in step with the sources, and a mutant is caught for the right reason."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests import marks
from tests.mutants import run, table

RULES = marks.read_tables(Path(__file__).parents[1] / "requirements.toml")["rules"]
MUTANTS = table.read_table()
EXAMPLE = MUTANTS[0]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda one: f"{one.rule}: {one.breaks}")
def test_a_mutant_changes_one_place_of_a_source_that_stays_python(mutant: table.Mutant) -> None:
    """One that can't be put in, or does not even parse, would prove nothing."""
    ast.parse(table.mutated(mutant, (table.ROOT / mutant.file).read_text()))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda one: f"{one.rule}: {one.breaks}")
def test_a_mutant_names_a_test_that_is_there(mutant: table.Mutant) -> None:
    """The test that catches it, by its name."""
    file, _, name = mutant.caught_by.partition("::")
    tree = ast.parse((table.ROOT / file).read_text())
    tests = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert name.partition("[")[0] in tests


def test_every_rule_that_is_due_has_a_mutant() -> None:
    """A rule that nothing breaks is a rule that nothing checks."""
    assert RULES.keys() - {mutant.rule for mutant in MUTANTS} == set()


def test_a_mutant_whose_text_is_gone_is_reported_with_its_place() -> None:
    """The table follows the sources, or says so."""
    with pytest.raises(table.MisfitError, match=f"{EXAMPLE.rule}, {EXAMPLE.file}: expected the text"):
        table.mutated(EXAMPLE, "something else")


@pytest.mark.parametrize(
    ("new", "verdict"),
    [
        (EXAMPLE.new, run.Verdict.CAUGHT),
        (EXAMPLE.old, run.Verdict.SURVIVED),
        ("this is no Python", run.Verdict.BROKEN),
    ],
)
def test_only_a_test_that_ran_and_failed_has_caught_a_mutant(new: str, verdict: run.Verdict) -> None:
    """Not one that passed, and not one that could not be collected."""
    with run.copy_of_the_tree() as tree:
        found, said = run.judge(EXAMPLE.model_copy(update={"new": new}), tree)
        assert found is verdict, said
        assert (tree / EXAMPLE.file).read_text() == (table.ROOT / EXAMPLE.file).read_text()
