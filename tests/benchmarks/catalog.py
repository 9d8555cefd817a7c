"""The whole table, in the order of the issue that set its bounds."""

from __future__ import annotations

from tests.benchmarks import (
    durable,
    footprint,
    large_home,
    latency,
    messaging,
    queues,
    recovery,
    schedules,
    tasks,
)
from tests.benchmarks.rows import Row

ROWS: dict[str, Row] = {
    row.name: row
    for row in (
        *messaging.ROWS,
        *footprint.ROWS,
        *durable.ROWS,
        *recovery.ROWS,
        *tasks.ROWS,
        *queues.ROWS,
        *schedules.ROWS,
        *large_home.ROWS,
        *latency.ROWS,
    )
}
