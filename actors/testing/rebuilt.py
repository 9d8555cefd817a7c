"""The read model that was followed, compared with one that is folded from all lines from zero (rule P1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import trio

from understudy.actors.projection import ProjectionActor, feed_of, wait_until_ready
from understudy.actors.projection.fold import fold_line
from understudy.actors.projection.journal_lines import begins_after
from understudy.actors.projection.model import ReadModel
from understudy.actors.projection.model_dump import dump_of, load

if TYPE_CHECKING:
    from collections.abc import Mapping

    from understudy.supervision.system import ActorSystem
    from understudy.supervision.testing.lines import Lines

WITHIN_S = 600.0
_SHOWN = 3


async def wait_until_level(system: ActorSystem) -> bool:
    """Wait until the projection has read what is durable by now; False when it does not within `WITHIN_S`."""
    with trio.move_on_after(WITHIN_S):
        if not await wait_until_ready(system, WITHIN_S):
            return False
        follower = cast("ProjectionActor", system.cell("projection").actor).follower
        while any(True for _ in follower.behind()):  # noqa: ASYNC110 - the follower tells of lines, not of this
            await trio.sleep(0.1)
        return True
    return False


def check_read_model(system: ActorSystem, journals: Mapping[str, Lines]) -> None:
    """Compare them, as they are now.

    Rows that were over before a journal's first line that is left go from both: a trimmed journal does
    not have them, and the projection hears of the trimming a moment later.

    Args:
        system: with a projection that is level.
        journals: with all lines that there ever were.

    Raises:
        AssertionError: they differ; says in which lines.
    """
    home = system.home
    assert home is not None
    model = feed_of(system).model
    followed = load(dump_of(model).lines(), model.kept)
    rebuilt = ReadModel(model.kept)
    for name, cursor in model.cursors.items():
        for seq, line in journals[name].raw.items():
            if seq <= cursor.seq:
                fold_line(rebuilt, cursor.model_copy(update={"seq": seq}), line)
        base = begins_after(home.files, home.journals / name, cursor.seq)
        followed.forget(name, base)
        rebuilt.forget(name, base)
    expected, got = [*dump_of(rebuilt).lines()], [*dump_of(followed).lines()]
    if got != expected:
        more = [line for line in got if line not in expected][:_SHOWN]
        less = [line for line in expected if line not in got][:_SHOWN]
        msg = f"expected the read model that the journals make, got one with {more} in the place of {less}"
        raise AssertionError(msg)
