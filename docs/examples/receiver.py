"""A webhook's receiver with nothing but Python's own server."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from understudy.protocols.webhooks import BadSignature, verify

SHARED = "this is shared by sender and receiver"


class Receiver(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: set[str] = set()
        self.lock = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Receiver)
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            delivery = verify(SHARED, dict(self.headers.items()), body, now_s=time.time())
        except BadSignature as error:
            print(f"refused: {error}")
            return self.answer(401)
        with self.server.lock:  # at least once means: sometimes twice
            new = delivery not in self.server.seen
            self.server.seen.add(delivery)
        if new:
            told = json.loads(body)
            print(f"{told['type']}: {told['data']['title']} {told['data']['status']}")
        return self.answer(204)

    def answer(self, status: int) -> None:
        self.send_response(status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
        pass
