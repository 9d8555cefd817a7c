"""Runs rows in child processes, pinned and unpinned, and gathers what they measured."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel

from tests.benchmarks import measure
from tests.benchmarks.measure import Mode, Samples

if TYPE_CHECKING:
    from tests.benchmarks.child import Order
    from tests.benchmarks.rows import Options, Row

ROOT = Path(__file__).parents[2]
CHILD_TIMEOUT_S = 1200.0
ModeName = Literal["pinned", "unpinned"]


class Machine(BaseModel):
    """Where a run was made."""

    system: str
    processor: str
    cores: int
    python: str
    filesystem: str
    sync_us: float
    """Median microseconds of one write and fdatasync there."""
    load: float
    """Load average of the last minute when the run began."""


class Outcome(BaseModel):
    """One row of the table, filled in."""

    name: str
    work: str
    against: str
    unit: str
    value_unit: str
    better: str
    must: float | None
    aim: float | None
    result: float | None = None
    verdict: str = "FAILED"
    modes: dict[ModeName, Mode] = {}
    warnings: list[str] = []
    error: str = ""


class Report(BaseModel):
    """A whole run."""

    machine: Machine
    rounds: int
    turns: int
    warnings: list[str]
    rows: list[Outcome]


def measured(row: Row, options: Options) -> Outcome:
    """Measure `row` in each mode that this machine has. A row that fails is reported, not raised."""
    outcome = Outcome(
        name=row.name,
        work=row.work,
        against=row.against,
        unit=row.unit,
        value_unit=row.value_unit,
        better=row.better,
        must=row.must,
        aim=row.aim,
    )
    try:
        for name, core in cores().items():
            mode = measure.summary(_samples(row, options, core))
            outcome.modes[name] = mode
            if mode.spread > measure.NOISY:
                outcome.warnings.append(f"{name}: the rounds differ by {mode.spread:.0%}: a noisy machine")
    except (subprocess.SubprocessError, OSError) as error:
        outcome.error = _last_line(error)
        return outcome
    outcome.result = measure.result(row, list(outcome.modes.values()))
    outcome.verdict = measure.verdict(row, outcome.result)
    return outcome


def cores() -> dict[ModeName, int | None]:
    """The modes and the core that each is bound to; only unpinned where a process cannot be bound (macOS)."""
    if not hasattr(os, "sched_setaffinity"):
        return {"unpinned": None}
    return {"pinned": max(os.sched_getaffinity(0)), "unpinned": None}


def machine(folder: Path, sync_us: float) -> Machine:
    """This machine, for the report."""
    return Machine(
        system=f"{platform.system()} {platform.machine()}",
        processor=_processor(),
        cores=os.cpu_count() or 1,
        python=platform.python_version(),
        filesystem=filesystem(folder),
        sync_us=round(sync_us, 1),
        load=round(os.getloadavg()[0], 2),
    )


def filesystem(folder: Path) -> str:
    """The type of the file system under `folder`, empty when unknown; on `tmpfs` a sync costs nothing."""
    mounts = Path("/proc/mounts")
    if not mounts.exists():
        return ""
    best = ("", "")
    for line in mounts.read_text().splitlines():
        _, point, kind, *_ = line.split(" ")
        if folder.is_relative_to(point) and len(point) >= len(best[0]):
            best = (point, kind)
    return best[1]


def _samples(row: Row, options: Options, core: int | None) -> Samples:
    if not row.fresh:
        return _child(row, options, core, options.rounds)
    parts = [_child(row, options, core, 1) for _ in range(options.rounds)]
    return Samples(
        ours=[value for part in parts for value in part.ours],
        peer=[value for part in parts for value in part.peer],
        notes=parts[-1].notes,
    )


def _child(row: Row, options: Options, core: int | None, rounds: int) -> Samples:
    with tempfile.NamedTemporaryFile(suffix=".json") as into:
        order: Order = {
            "row": row.name,
            "core": core,
            "rounds": rounds,
            "turns": options.turns,
            "work": str(options.work),
            "into": into.name,
        }
        subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.child", json.dumps(order)],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
            timeout=CHILD_TIMEOUT_S,
        )
        return Samples.model_validate_json(Path(into.name).read_bytes())


def _last_line(error: Exception) -> str:
    stderr = error.stderr if isinstance(error, subprocess.CalledProcessError) else None
    lines = [line for line in (stderr or "").splitlines() if line.strip()]
    return lines[-1].strip(" |+") if lines else repr(error)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text().splitlines() if "model name" in line] if info.exists() else []
    return names[0].partition(":")[2].strip() if names else platform.processor()
