"""Engines."""

from understudy.actors.engines.engine import Desk, Engine, Evolving, Resumable
from understudy.actors.engines.offline import OfflineEngine
from understudy.actors.engines.scripted import ScriptedEngine

__all__ = ["Desk", "Engine", "Evolving", "OfflineEngine", "Resumable", "ScriptedEngine"]
