"""The evolver: what it is told, and what it has learned (MG-7)."""

from __future__ import annotations

from understudy.protocols.base import Event, Message
from understudy.protocols.engine import Persona


class ConsiderEvolving(Message[None]):
    """From its own timer, or since the manager had something to do: look whether it is time."""


class FinishEvolving(Message[None]):
    """From its own background task: what the engine made of the messages up to `seen`."""

    window: int
    engine: str
    profile: str
    persona: str
    seen: str


class FailEvolving(Message[None]):
    """From its own background task: the engine failed."""

    window: int
    error: str


class Evolved(Event):
    """A new version of what is known of the people, and of how the agent is to be.

    Attributes:
        at: when (epoch seconds).
        engine: whose work it is.
        seen: the newest message that it was made of.
    """

    persona: Persona
    at: float
    engine: str
    seen: str


class EvolvingFailed(Event):
    """It is tried again after the minimum interval."""

    at: float
    error: str
