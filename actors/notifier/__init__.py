"""The notifier."""

from understudy.actors.notifier.notifier import NotifierActor, NotifierState

__all__ = ["NotifierActor", "NotifierState"]
