"""The kill storm: a real server, a real load, SIGKILL at random moments, and what must hold after it.

    python -m tests.faults.storm --kills 50 --seed 7

Exits with 1 on a violation; the home is then kept, and named.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import psutil
import trio

from tests.faults import storm_checks as checks
from tests.faults.storm_checks import View
from tests.faults.storm_journals import Effects, Facts, read_facts
from tests.faults.storm_load import Load
from tests.faults.storm_report import Kill, Report
from tests.faults.storm_server import Server, fetch_all, until

CLIENTS = 5
LIFE_S = (0.05, 1.5)
EARLY = 0.15
SETTLE_S = 90.0
CATCH_UP_S = 20.0
HITS_OF_FIVE = 4


async def storm(folder: Path, kills: int, seed: int) -> Report:
    """Run one storm in `folder`, which is empty."""
    chance = random.Random(seed)
    server = Server(folder / "home")
    effects = Effects(folder / "effects.txt")
    load = Load(server, effects, seed)
    report = Report(seed)
    began = trio.current_time()
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(load.run, CLIENTS)
            for _ in range(kills):
                await _live_and_die(server, load, chance, report)
            await server.start()
            load.stop()
            nursery.cancel_scope.deadline = trio.current_time() + SETTLE_S
        await _judge(folder, server, load, effects, report)
    except* RuntimeError as errors:  # a server that did not come up
        report.violations += [str(error) for error in errors.exceptions]
    finally:
        await server.kill()
        end_processes(folder)
    report.lines.append(f"took {trio.current_time() - began:.0f} s")
    return report


async def _live_and_die(server: Server, load: Load, chance: random.Random, report: Report) -> None:
    """One life of the server: sometimes too short for it to come up."""
    listening = not server.starts_s or chance.random() >= EARLY
    if listening:
        await server.start()
        await trio.sleep(chance.uniform(*LIFE_S))
    else:
        await server.begin()
        await trio.sleep(chance.uniform(0.0, max(server.starts_s)))
    on_the_wire = load.on_the_wire
    if (code := await server.kill()) != -signal.SIGKILL:
        report.violations.append(f"the server had ended by itself with {code}: {server.log_tail()}")
    facts = read_facts(server.home)
    report.kills.append(Kill(listening, facts.running, facts.pending, facts.unanswered, on_the_wire))


async def _judge(folder: Path, server: Server, load: Load, effects: Effects, report: Report) -> None:
    """Let the work come to its end, stop the server in order, recover twice, and check everything."""
    looks: list[View] = []

    async def settled() -> bool:
        """Nothing is open, and the read model, which follows, shows the same as at the last look."""
        open_commands = load.unfired()
        view = await _view(server)
        looks.append(view)
        open_inputs = sum(row["role"] == "user" for row in view.messages) - len(
            {name for row in view.messages for name in row.get("in_reply_to") or ()}
        )
        over = all(row["status"] in checks.FINAL for row in view.tasks)
        return not (open_inputs or open_commands) and over and looks[-2:] == [view, view]

    complain = report.violations.extend
    if not await until(settled, SETTLE_S):
        complain([f"not everything had come to its end {SETTLE_S:.0f} s after the storm"])
    view = await _view(server)
    views = {"the last server": view}
    code = await server.stop()
    if code != 0:
        complain([f"the server ended with {code} on SIGTERM"])
    complain(checks.no_orphans(server.home))
    effects.look()
    facts = read_facts(server.home)
    for name in ("a recovery", "a recovery without the projection's files"):
        views[name] = await _recover(server.home, folder / name.replace(" ", "-"), view, load, report)
    complain(load.faults)
    complain(f"{key} was never acknowledged" for key, one in load.requests.items() if one.id is None)
    complain(checks.answered_once(load.acknowledged, view))
    complain(checks.tasks_final(view))
    complain(checks.carried_out(load.acknowledged, view, effects))
    complain(checks.executions(effects, facts, sum(kill.running for kill in report.kills)))
    complain(checks.replay_agrees(facts, views))
    complain(_verify(server.home))
    if 5 * sum(kill.hit for kill in report.kills) < HITS_OF_FIVE * len(report.kills):
        complain(["less than four of five kills hit work in flight"])
    _tell(report, load, effects, facts, server)


async def _recover(home: Path, copy: Path, expected: View, load: Load, report: Report) -> View:
    """Recover a copy of the home, ask some keys again, and return what it shows."""
    shutil.copytree(home, copy)
    if copy.name.endswith("files"):
        _forget_projection(copy)
    server = Server(copy)
    try:
        await server.start()

        async def caught_up() -> bool:
            return await _view(server) == expected

        await until(caught_up, CATCH_UP_S)  # the read model follows the journals; a rebuild takes its time
        view = await _view(server)
        await load.repeat_some(server, random.Random(report.seed))
        return view
    finally:
        await server.stop()


def _forget_projection(home: Path) -> None:
    """Take away all that the projection keeps: it builds it again from the other journals (PJ-1)."""
    for place in (home / "state" / "journals" / "projection", home / "state" / "projection"):
        shutil.rmtree(place, ignore_errors=True)


async def _view(server: Server) -> View:
    address = await server.wait_until_up()
    tasks, messages, schedules = [
        await fetch_all(address, what) for what in ("tasks", "messages", "schedules")
    ]
    return View(tasks, messages, schedules)


def _verify(home: Path) -> Iterable[str]:
    """`understudy journal verify` finds nothing."""
    command = [sys.executable, "-m", "understudy", "journal", "verify", "--home", str(home)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode != 0:
        yield f"`understudy journal verify` ended with {done.returncode}: {done.stdout}{done.stderr}"


def _tell(report: Report, load: Load, effects: Effects, facts: Facts, server: Server) -> None:
    starts = effects.of("start")
    again = len(starts) - len({label for label, _ in starts})
    kinds = Counter(request.kind for request in load.acknowledged)
    tries = sum(request.tries for request in load.requests.values())
    bound = sum(kill.running for kill in report.kills)
    answers = ", ".join(f"{count} of {answer}" for answer, count in load.answers.most_common())
    started = f"commands started: {len(starts)}, again: {again} (at most {bound}, running at the kills)"
    starts_s = sorted(server.starts_s)
    report.lines += [
        "acknowledged: " + ", ".join(f"{count} of {kind}" for kind, count in kinds.most_common()),
        f"tries: {tries}; answers: {answers}",
        f"{started}; requeued in the journal: {facts.requeued}",
        f"statuses: {dict(Counter(facts.statuses.values()))}",
        f"starts: median {starts_s[len(starts_s) // 2]:.2f} s, longest {starts_s[-1]:.2f} s",
    ]


def end_processes(folder: Path) -> None:
    """End, one by one, what a failed storm left running in its own homes."""
    for home in folder.iterdir():
        for found in checks.leftovers.find(home):
            try:
                found.process.kill()
            except psutil.Error:
                continue


def main() -> int:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.storm", description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--keep", action="store_true", help="keep the home")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="understudy-storm-"))
    report = trio.run(storm, folder, arguments.kills, arguments.seed)
    sys.stdout.write(report.text() + "\n")
    if report.violations or arguments.keep:
        sys.stdout.write(f"kept: {folder}\n")
    else:
        shutil.rmtree(folder)
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
