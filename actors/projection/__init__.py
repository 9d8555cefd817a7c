"""The projection: one read model of all journals, and the feed that viewers follow."""

from understudy.actors.projection.actor import (
    FollowingFailed,
    ProjectionActor,
    Unavailable,
    feed_of,
    show_live,
    wait_until_ready,
    wait_until_shown,
)
from understudy.actors.projection.feed import Feed, Lagged
from understudy.actors.projection.fold_schedules import detail_of
from understudy.actors.projection.model import ReadModel

__all__ = [
    "Feed",
    "FollowingFailed",
    "Lagged",
    "ProjectionActor",
    "ReadModel",
    "Unavailable",
    "detail_of",
    "feed_of",
    "show_live",
    "wait_until_ready",
    "wait_until_shown",
]
