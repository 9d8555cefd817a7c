"""Cron."""

from understudy.actors.cron.cron import CronActor, CronState

__all__ = ["CronActor", "CronState"]
