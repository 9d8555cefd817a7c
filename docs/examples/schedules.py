"""Schedules in a program of your own. Run it twice: the schedule is made once."""

import trio

from understudy import ActorSystem
from understudy.actors.cast import CastConfig, start_cast
from understudy.protocols.schedules import AddSchedule, ListSchedules, ScheduleSpec


async def main() -> None:
    async with ActorSystem("office") as system:
        await start_cast(system, CastConfig(timezone="Europe/Zurich"))
        cron = system.get("cron")
        spec = ScheduleSpec(
            title="nightly report",
            cron="30 2 * * *",
            command=("df", "-h"),
            misfire="all",  # after an outage each night's report is made,
            misfire_limit=3,  # but of three nights at most
            overlap="forbid",  # and none while another one is being made
            jitter_s=300,
        )
        made = await cron.ask_async(AddSchedule(spec=spec), key="nightly-report")
        (view,) = (await cron.ask_async(ListSchedules(next_runs=2))).schedules
        print(made.id, view.status, view.timezone, len(view.next_runs), "runs to come")


trio.run(main)
