"""The manager."""

from understudy.actors.manager.manager import ManagerActor
from understudy.actors.manager.policy import RunPolicy
from understudy.actors.manager.state import ManagerState

__all__ = ["ManagerActor", "ManagerState", "RunPolicy"]
