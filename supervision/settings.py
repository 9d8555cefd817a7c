"""The settings of one system: passed in, never read from the environment."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """How one `ActorSystem` runs. All sizes in bytes, all times in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    segment_bytes: int = Field(default=64 << 20, ge=4096)
    """A journal goes on in a new file when this size is reached."""
    open_files: int = Field(default=256, ge=8)
    """Journal files kept open at once."""
    snapshot_bytes: int = Field(default=8 << 20, ge=1024)
    """A snapshot is taken when the lines since the last one are at least this and twice the state's size."""
    keep_bytes: int = Field(default=1 << 30, ge=0)
    """What a journal may take with its snapshots before its oldest segments are removed, at a snapshot."""
    keep_age_s: float | None = Field(default=90 * 86_400.0, ge=0)
    """Segments whose last line is older are removed at a snapshot; None keeps them however old they are."""
    sync_threads: int = Field(default=16, ge=1)
    """Threads that call fdatasync when a batch holds several journals."""
    window: int = Field(default=8192, ge=1, le=65_536)
    """Turns that an actor may run ahead of the disk, and sends that a receiver may be behind (rule D2)."""
    turn_retries: int = Field(default=5, ge=1)
    """Times that a durable message is tried before it is a dead letter (rule T5)."""
    retry_backoff_s: float = Field(default=0.05, ge=0)
    """Wait before the first of those retries; it doubles each time."""
    key_window: int = Field(default=100_000, ge=1)
    """Idempotency keys that are always remembered (rule D3)."""
    key_age_s: float = Field(default=86_400.0, ge=0)
    """Keys younger than this are remembered too, however many they are."""
    ask_timeout_s: float = Field(default=30.0, gt=0)
    """Deadline of an `ask` inside a persistent turn when it names none (rule T6)."""
    stop_timeout_s: float = Field(default=5.0, gt=0)
    """Time that an actor has for its current turn and `on_stop` when the system stops."""
    flush_timeout_s: float = Field(default=10.0, gt=0)
    """Time that the journals have to become durable when the system stops (rule H3)."""
    resume_every_s: float | None = Field(default=None, gt=0)
    """Try to resume a halted actor by itself each so many seconds; None waits for a person (JR-8)."""
