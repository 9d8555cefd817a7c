"""Simulate the cast, or a world of your own, for hours of virtual time.

python -m understudy.supervision.testing.simulate --seed N --hours H
"""

from __future__ import annotations

import argparse
import logging
import sys
from importlib import import_module
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, cast

from understudy.supervision.testing.simulation import Simulation

if TYPE_CHECKING:
    from collections.abc import Callable

    from understudy.supervision.testing.simulation import World

CAST = "understudy.actors.testing.world:CastWorld"
"""By name: the runtime does not know the actors that are built on it, and does not import them."""


def main(arguments: list[str] | None = None) -> int:
    """Simulate one seed after the other; 1 when one of them found something."""
    parser = argparse.ArgumentParser(
        prog="understudy.supervision.testing.simulate", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--seed", type=int, default=None, help="the first seed (default: a random one)")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds, one after the other")
    parser.add_argument("--hours", type=float, default=24.0, help="of virtual time, for each seed")
    parser.add_argument("--world", default=CAST, help="module:class of what is simulated")
    parser.add_argument("--keep", type=Path, help="folder to write the home to when something was found")
    parser.add_argument("--verbose", action="store_true", help="show what the system logs")
    given = parser.parse_args(arguments)
    if not given.verbose:
        logging.disable(logging.CRITICAL)
    first = Random().randrange(1 << 32) if given.seed is None else given.seed
    for seed in range(first, first + given.seeds):
        simulation = Simulation(_load(given.world), seed=seed, hours=given.hours)
        try:
            story = simulation.run()
        except Exception as error:  # noqa: BLE001 - whatever it is, the seed is the finding
            _report(error, seed, given)
            if given.keep is not None:
                simulation.disk.export(given.keep)
                sys.stderr.write(f"the home is in {given.keep}\n")
            return 1
        sys.stdout.write(f"seed {seed}, {given.hours:g} hours: {story}\n")
    return 0


def _load(name: str) -> Callable[[Random], World]:
    module, _, attribute = name.partition(":")
    return cast("Callable[[Random], World]", getattr(import_module(module), attribute))


def _report(error: Exception, seed: int, given: argparse.Namespace) -> None:
    import traceback  # noqa: PLC0415 - only for this

    traceback.print_exception(error)
    world = "" if given.world == CAST else f" --world {given.world}"
    sys.stderr.write(
        f"seed {seed} found something; again with: python -m understudy.supervision.testing.simulate "
        f"--seed {seed} --hours {given.hours:g}{world}\n"
    )


if __name__ == "__main__":
    sys.exit(main())
