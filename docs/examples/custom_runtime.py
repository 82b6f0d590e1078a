"""A custom runtime in twenty lines: one colour, chosen by the prompt. `python custom_runtime.py 9000` starts it."""

import base64
import json
import struct
import sys
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def png(width: int, height: int, colour: bytes) -> bytes:
    rows = zlib.compress((b"\0" + colour * width) * height)
    chunks = (b"IHDR", struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)), (b"IDAT", rows), (b"IEND", b"")
    packed = (struct.pack(">I", len(d)) + kind + d + struct.pack(">I", zlib.crc32(kind + d)) for kind, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


class Runtime(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.answer(200 if self.path == "/health" else 404, {})

    def do_POST(self) -> None:
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"]))).get("content", {})
        width, height = content.get("width", 512), content.get("height", 512)
        if self.path != "/generate" or not (0 < width <= 4096 and 0 < height <= 4096):
            return self.answer(400, {"error": {"code": "validation_failed", "message": "A side is 1 to 4096 pixels."}})
        picture = png(width, height, zlib.crc32(content.get("prompt", "").encode()).to_bytes(4)[:3])
        file = {"name": "1.png", "content_type": "image/png", "base64": base64.b64encode(picture).decode()}
        return self.answer(200, {"files": [file], "output": {"width": width, "height": height}})

    def answer(self, status: int, body: Any) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())


if __name__ == "__main__":
    host = sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1"
    ThreadingHTTPServer((host, int(sys.argv[1])), Runtime).serve_forever()
