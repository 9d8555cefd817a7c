"""Each of the twelve stories from other systems' trackers is played by a test that is there."""

from __future__ import annotations

import ast

import pytest

from tests.faults.stories import STORIES
from tests.mutants.table import ROOT


def test_there_are_twelve_stories() -> None:
    """As many as were told."""
    assert len(STORIES) == len(set(STORIES.values())) == 12


@pytest.mark.parametrize("story", STORIES)
def test_a_story_names_a_test_that_is_there(story: str) -> None:
    """By file and name."""
    file, _, name = STORIES[story].partition("::")
    tree = ast.parse((ROOT / file).read_text())
    tests = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert name in tests
