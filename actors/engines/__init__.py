"""Engines."""

from understudy.actors.engines.engine import Desk, Engine
from understudy.actors.engines.offline import OfflineEngine

__all__ = ["Desk", "Engine", "OfflineEngine"]
