"""The sinks: where notifications go, one file for each kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from understudy.actors.notifier.sinks.callback import Callback
from understudy.actors.notifier.sinks.config import CallbackConfig, FileConfig, SinkConfig, WebhookConfig
from understudy.actors.notifier.sinks.file import File, check_files, path_in
from understudy.actors.notifier.sinks.session import Sessions
from understudy.actors.notifier.sinks.sink import NotDelivered, Sink

if TYPE_CHECKING:
    from understudy.supervision.system import ActorSystem

__all__ = [
    "CallbackConfig",
    "FileConfig",
    "NotDelivered",
    "Sessions",
    "Sink",
    "SinkConfig",
    "WebhookConfig",
    "check_files",
    "make_sink",
]


def make_sink(config: SinkConfig, system: ActorSystem) -> Sink:
    """The sink that a configuration describes.

    Raises:
        ValueError: its file is one of the runtime's.
    """
    match config:
        case WebhookConfig():
            # httpx is a tenth of all that `serve` imports; without a webhook it is not needed.
            from understudy.actors.notifier.sinks.webhook import Webhook  # noqa: PLC0415 - see above

            return Webhook(config, system.clock)
        case CallbackConfig():
            return Callback(config)
        case FileConfig():
            assert system.home is not None, "a persistent actor's system has a home"
            return File(path_in(system.home, config), system.home.files, system.run_blocking)
