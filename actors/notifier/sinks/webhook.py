"""The webhook: a signed POST, and what its answer means."""

from __future__ import annotations

import ssl
from contextlib import suppress
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

import httpx

from understudy.actors.notifier.sinks.sink import NotDelivered
from understudy.protocols.base import described
from understudy.protocols.webhooks import ID, SIGNATURE, TIMESTAMP, sign

if TYPE_CHECKING:
    from understudy.actors.notifier.sinks.config import WebhookConfig
    from understudy.protocols.notifications import Delivery
    from understudy.supervision.clock import Clock

ATTEMPT = "understudy-attempt"
AGAIN = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
REFUSED_TRIES = 3
"""A receiver that says no (404, 401, a redirect) may be in the middle of being deployed, so not just one."""


class Webhook:
    """Posts deliveries to a URL.

    2xx is delivered. 5xx, 408, 425, 429 and a connection that fails are tried again as the configuration
    says, not before `Retry-After`; any other answer, redirects included, three times in all; 410 (gone)
    not again. No redirect is followed, and no answer is read beyond its head. The environment's proxies
    are left aside.
    """

    def __init__(self, config: WebhookConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        # Made once: reading the certificates takes some 20 ms. A client is made for each attempt: it costs
        # little beside that, and there is nothing to close when an incarnation of the notifier ends.
        secure = httpx.URL(config.url).scheme == "https"
        self._tls = httpx.create_ssl_context() if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    async def deliver(self, delivery: Delivery) -> None:
        """Make one attempt.

        Raises:
            NotDelivered.
        """
        body = delivery.body()
        try:
            async with (
                httpx.AsyncClient(
                    verify=self._tls, trust_env=False, timeout=self._config.timeout_s
                ) as client,
                client.stream(
                    "POST", self._config.url, content=body, headers=self._headers(delivery, body)
                ) as answer,
            ):
                status, retry_after = answer.status_code, answer.headers.get("retry-after", "")
        except httpx.HTTPError as error:
            raise NotDelivered(described(error)) from None
        if not HTTPStatus(200) <= status < HTTPStatus(300):
            raise self._failure(status, retry_after)

    def _headers(self, delivery: Delivery, body: bytes) -> dict[str, str]:
        now = int(self._clock.time())
        return {
            "content-type": "application/json",
            "user-agent": "understudy",
            ID: delivery.id,
            TIMESTAMP: str(now),
            SIGNATURE: sign(self._config.secret.get_secret_value(), delivery.id, now, body),
            ATTEMPT: str(delivery.attempt),
        }

    def _failure(self, status: int, retry_after: str) -> NotDelivered:
        text = f"answered {status}"
        with suppress(ValueError):  # a status that HTTP does not know
            text += f" {HTTPStatus(status).phrase}"
        if status == HTTPStatus.GONE:
            return NotDelivered(text, tries=1)
        if status in AGAIN or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return NotDelivered(text, retry_after_s=seconds_of(retry_after, self._clock.time()))
        return NotDelivered(text, tries=REFUSED_TRIES)


def seconds_of(retry_after: str, now_s: float) -> float | None:
    """What a `Retry-After` header says: seconds, or a date; None for anything else."""
    text = retry_after.strip()
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, moment.timestamp() - now_s)
