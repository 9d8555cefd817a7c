"""A process to be killed: the cast on a home, with inputs that come without end.

    python -m tests.integration.main_job_process HOME

Prints the id of each input when it is accepted. Each third input is a command that leaves a trace.
"""

from __future__ import annotations

import sys
from pathlib import Path

import trio

from understudy import ActorSystem
from understudy.actors.cast import CastConfig, start_cast
from understudy.protocols.conversation import SubmitInput


async def main(home: Path) -> None:
    """Run until killed."""
    traces = home / "traces"
    traces.mkdir(parents=True, exist_ok=True)
    async with ActorSystem(home) as system:
        await start_cast(system, CastConfig(timezone="UTC"))
        manager = system.get("manager")
        for number in range(1, 10_000):
            text = f"/run echo $UNDERSTUDY_ATTEMPT >> {traces}/{number}; sleep 0.03"
            accepted = await manager.ask_async(
                SubmitInput(text="hello" if number % 3 else text), timeout_s=30
            )
            sys.stdout.write(f"{accepted.id}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]))
