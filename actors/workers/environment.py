"""What of this process's environment commands get to see (WK-8)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

USUAL = frozenset({"PATH", "HOME", "LANG", "TZ", "TMPDIR", "USER", "LOGNAME", "SHELL", "TERM"})


def child_environment(names: Iterable[str], pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The environment of a task's command: the usual variables, those named, and the task's own.

    Everything else stays here: tokens and passwords are often kept in variables.

    Args:
        names: variables of this process that are given too.
        pairs: the task's `env`; wins over the rest.
    """
    wanted = USUAL.union(names)
    taken = {name: value for name, value in os.environ.items() if name in wanted or name.startswith("LC_")}
    return {**taken, **dict(pairs)}
