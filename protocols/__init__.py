"""What actors say to each other: pure pydantic types, no I/O."""

from understudy.protocols.base import Event, Frozen, Message

__all__ = ["Event", "Frozen", "Message"]
