"""Input accepted → offline reply durable, under 50 requests a second, against a real server process."""

from __future__ import annotations

from tests.benchmarks.rows import Row

ROWS: tuple[Row, ...] = ()
