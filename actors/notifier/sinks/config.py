"""What a sink is made of: one model for each kind, and which notifications it wants."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator, model_validator

from understudy.actors.own_folders import OWN_FOLDERS
from understudy.protocols.notifications import Delivery, Notification
from understudy.protocols.webhooks import key_of
from understudy.supervision.backoff import Backoff

JITTER = 0.2


class _Sink(BaseModel):
    """What all sinks have. Times are in seconds; an empty filter lets everything through.

    Attributes:
        name: of the sink, in its deliveries: under another name it is another sink.
        kinds: tell only of these; the end of a task is a `task_done`.
        statuses: of tasks that ended, tell only of these.
        sessions: tell only what these own.
        queues: of tasks that ended, tell only of those of these queues.
        concurrency: attempts at once; the order of deliveries is nowhere promised.
        timeout_s: an attempt that takes longer has failed.
        attempts: so many before it is a dead letter.
        max_age_s: no attempt is begun again later than so long after it was queued.
        retry_delay_s: wait before the second attempt, doubled each time, within a fifth more or less.
        retry_cap_s: no wait is longer, but for a `Retry-After` of at most an hour.
        waiting: deliveries that may wait; more are dead letters at once.
    """

    # A secret or a URL with a token in it must not be in the text of an error.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")
    kinds: tuple[str, ...] = ()
    statuses: tuple[Literal["succeeded", "failed", "canceled"], ...] = ()
    sessions: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    concurrency: int = Field(default=4, ge=1, le=100)
    timeout_s: float = Field(default=15.0, gt=0, le=3600)
    attempts: int = Field(default=20, ge=1, le=1000)
    max_age_s: float = Field(default=86_400.0, gt=0, allow_inf_nan=False)
    retry_delay_s: float = Field(default=1.0, ge=0, le=3600)
    retry_cap_s: float = Field(default=3600.0, gt=0, le=86_400)
    waiting: int = Field(default=10_000, ge=1, le=1_000_000)

    def wants(self, notification: Notification) -> bool:
        """Whether this sink is told of it."""
        told, result = notification, notification.result
        return (
            (not self.kinds or told.kind in self.kinds)
            and (not self.sessions or told.session in self.sessions)
            and (result is None or not self.statuses or result.status in self.statuses)
            and (result is None or not self.queues or result.queue in self.queues)
        )

    def backoff(self) -> Backoff:
        """The waits between its attempts."""
        first_s = min(self.retry_delay_s, self.retry_cap_s)
        return Backoff(initial_s=first_s, cap_s=self.retry_cap_s, jitter=JITTER)


class WebhookConfig(_Sink):
    """An HTTP receiver, told with a signed POST.

    Attributes:
        url: where; it is neither logged nor journaled, since many hold a token.
        secret: signs, 24 bytes or more: `whsec_` and base64, or text; in the file also by `secret_env`.
    """

    kind: Literal["webhook"] = "webhook"
    url: str = Field(repr=False)
    secret: SecretStr

    @model_validator(mode="before")
    @classmethod
    def _take_secret(cls, given: Any, info: ValidationInfo) -> Any:
        """Look `secret_env` up in the environment that the validation was given: a library reads none."""
        if not isinstance(given, dict):
            return cast("object", given)
        fields = cast("dict[str, Any]", given).copy()
        if "secret_env" not in fields:
            return fields
        name = fields.pop("secret_env")
        context = cast("Mapping[str, Mapping[str, str]]", info.context or {})
        environment = context.get("environment", {})
        if "secret" in fields or not environment.get(name):
            raise ValueError(f"expected a secret, or secret_env and a variable {name} in the environment")
        return fields | {"secret": environment[name]}

    @field_validator("url")
    @classmethod
    def _is_a_url(cls, url: str) -> str:
        import httpx  # noqa: PLC0415 - for webhooks only: a tenth of all that `serve` imports

        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL:
            parsed = None
        if parsed is None or parsed.scheme not in ("http", "https") or not parsed.host:
            raise ValueError("expected a URL such as https://example.org/hook, got something else")
        return url

    @field_validator("secret")
    @classmethod
    def _is_a_key(cls, secret: SecretStr) -> SecretStr:
        key_of(secret.get_secret_value())
        return secret


class FileConfig(_Sink):
    """A file of JSON lines, each appended and synced.

    Attributes:
        path: relative to the home, or absolute; not in the home's `config`, `history` or `state`.
        concurrency: one line at a time.
    """

    kind: Literal["file"] = "file"
    path: Path
    concurrency: Literal[1] = 1  # pyright: ignore[reportIncompatibleVariableOverride] - narrower, and frozen

    @field_validator("path")
    @classmethod
    def _is_a_file(cls, path: Path) -> Path:
        if not path.name or ".." in path.parts or path.parts[0] in OWN_FOLDERS:
            raise ValueError(
                f"expected a file in the home but not in its {', '.join(OWN_FOLDERS)}, or an absolute path"
            )
        return path


class CallbackConfig(_Sink):
    """A function of the embedding program.

    It has taken the delivery when it returns; what it raises is a failed attempt. A plain one that hangs
    keeps its thread, and after `concurrency` of them this sink stands still.

    Attributes:
        function: called with a `Delivery`: a plain one in a thread, an async one in the loop.
    """

    kind: Literal["callback"] = "callback"
    function: Callable[[Delivery], Any]


SinkConfig = Annotated[WebhookConfig | FileConfig | CallbackConfig, Field(discriminator="kind")]
