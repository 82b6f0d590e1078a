"""Receives the callbacks of an sdfleet deployment, standard library only.

    SDFLEET_CALLBACK_SECRET='whsec_...' python callback_receiver.py 9000

Whoever knows the address can post to it: what has no valid signature is refused. Copy `verify` into your own server.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import sys
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: Seconds that a callback's time may differ from ours: an old one that somebody recorded is refused.
TOLERANCE_S = 300


def verify(secrets: str, headers: Mapping[str, str], body: bytes, *, now: float) -> bool:
    """Whether the deployment sent exactly this body. `secrets`: one or more `whsec_...`, with spaces between them.

    `headers`: their names in lower case.
    """
    event_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    if not (timestamp.isascii() and timestamp.isdigit()) or abs(now - int(timestamp)) > TOLERANCE_S:
        return False
    signed = f"{event_id}.{timestamp}.".encode() + body
    given = headers.get("webhook-signature", "").split()
    for secret in secrets.split():
        key = base64.b64decode(secret.removeprefix("whsec_"))
        expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        if any(hmac.compare_digest(expected.encode(), signature.encode()) for signature in given):
            return True
    return False


class Receiver(ThreadingHTTPServer):
    """Keeps what came, each event once however often it is delivered."""

    def __init__(self, port: int, secrets: str) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.secrets = secrets
        #: Notices by `webhook-id`. Yours are in a database, where they survive a restart.
        self.notices: dict[str, dict[str, Any]] = {}


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        if not verify(self.server.secrets, headers, body, now=time.time()):
            self._answer(401)
            return
        event_id = headers["webhook-id"]
        if event_id not in self.server.notices:
            self.server.notices[event_id] = notice = json.loads(body)
            sys.stdout.write(f"{notice['id']} {notice['status']} {notice['image_url']}\n")
        # Answer at once, work later: after ten seconds the try counts as failed, and the notice comes again.
        self._answer(204)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        """The address may hold a token, which belongs in no log."""


def main() -> None:
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 9000
    Receiver(port, os.environ["SDFLEET_CALLBACK_SECRET"]).serve_forever()


if __name__ == "__main__":
    main()
