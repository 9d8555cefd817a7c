"""The notifier, and its sinks."""

from understudy.actors.notifier.notifier import NotifierActor
from understudy.actors.notifier.sinks import (
    CallbackConfig,
    FileConfig,
    SinkConfig,
    WebhookConfig,
    check_files,
)
from understudy.actors.notifier.state import NotifierState

__all__ = [
    "CallbackConfig",
    "FileConfig",
    "NotifierActor",
    "NotifierState",
    "SinkConfig",
    "WebhookConfig",
    "check_files",
]
