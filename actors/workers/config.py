"""What the pool enforces, and for how long it remembers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from understudy.protocols.tasks import FILE_BYTES

TASKS_KEPT = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolConfig:
    """Limits and permissions of tasks (WK-8). Times in seconds.

    Attributes:
        queue_limits: attempts at once of a queue, by its name; others have only the pool's limit.
        profiles: the executor's name that stands for a profile such as `standard`.
        workspaces: folders below which tasks may work, besides `work/` in the home.
        environment: variables of this process that commands get, besides the usual ones.
        default_timeout_s: time limit of an attempt whose task names none.
        max_timeout_s: no task may ask for more.
        output_file_bytes: so much of an attempt's output is kept in its file.
        tasks_kept: so many finished tasks are known; then the oldest is forgotten, with its files.
        timezone: IANA name of the zone in which times are shown.

    Raises:
        ValueError: a queue's limit is not positive.
    """

    queue_limits: Mapping[str, int] = field(default_factory=dict[str, int])
    profiles: Mapping[str, str] = field(default_factory=dict[str, str])
    workspaces: tuple[Path, ...] = ()
    environment: tuple[str, ...] = ()
    default_timeout_s: float | None = None
    max_timeout_s: float | None = None
    output_file_bytes: int = FILE_BYTES
    tasks_kept: int = TASKS_KEPT
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        for name, limit in self.queue_limits.items():
            if limit < 1:
                msg = f"expected a limit of at least 1 attempt at once for the queue {name!r}, got {limit}"
                raise ValueError(msg)
