"""Cron."""

from understudy.actors.cron.cron import CronActor, CronState, schedule_problem

__all__ = ["CronActor", "CronState", "schedule_problem"]
