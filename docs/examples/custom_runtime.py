"""A custom runtime: one colour, chosen by the prompt. Start it with `python custom_runtime.py 9000`."""

import base64
import json
import struct
import sys
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def png(width: int, height: int, colour: bytes) -> bytes:
    header = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress((b"\0" + colour * width) * height)), (b"IEND", b"")]
    chunks = [struct.pack(">I", len(d)) + kind + d + struct.pack(">I", zlib.crc32(kind + d)) for kind, d in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


class Runtime(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.answer(200 if self.path == "/health" else 404, {})

    def do_POST(self) -> None:
        job = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        content = job["content"]
        width, height = content.get("width", 512), content.get("height", 512)
        if self.path != "/generate":
            self.answer(404, {})
        elif not all(isinstance(size, int) and 0 < size <= 4096 for size in (width, height)):
            message = "content.width and content.height must be whole numbers from 1 to 4096"
            self.answer(400, {"error": {"code": "validation_failed", "message": message, "permanent": True}})
        else:
            picture = png(width, height, zlib.crc32(str(content.get("prompt")).encode()).to_bytes(4)[:3])
            file = {"name": "picture.png", "content_type": "image/png", "base64": base64.b64encode(picture).decode()}
            self.answer(200, {"files": [file], "output": {"inputs": sorted(job["inputs"])}})

    def answer(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Runtime).serve_forever()
