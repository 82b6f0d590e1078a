"""A container registry that takes pushes, reached under any name through a proxy: as ECR is, from an engine's view.

Docker's registry API as far as pushing goes. What is pushed is handed on with its manifest.
"""

from __future__ import annotations

import base64
import hashlib
import re
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

#: Repository, tag, manifest, its media type.
OnPush = Callable[[str, str, bytes, str], None]


@dataclass
class RegistryDouble:
    host: str
    password: str
    on_push: OnPush
    #: For `HTTPS_PROXY`.
    proxy_url: str = ""
    blobs: dict[str, bytes] = field(default_factory=dict, repr=False)
    uploads: dict[str, bytearray] = field(default_factory=dict, repr=False)


@contextmanager
def running_registry(
    host: str, password: str, certificate: ssl.SSLContext, on_push: OnPush
) -> Iterator[RegistryDouble]:
    registry = RegistryDouble(host, password, on_push)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _registry_handler(registry))
    server.socket = certificate.wrap_socket(server.socket, server_side=True)
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), _proxy_handler(host, int(server.server_address[1])))
    registry.proxy_url = f"http://127.0.0.1:{proxy.server_address[1]}"
    threads = []
    for one in (server, proxy):
        one.daemon_threads = True
        threads.append(threading.Thread(target=one.serve_forever, daemon=True))
        threads[-1].start()
    try:
        yield registry
    finally:
        for one in (proxy, server):
            one.shutdown()
            one.server_close()
        for thread in threads:
            thread.join()


def _registry_handler(registry: RegistryDouble) -> type[BaseHTTPRequestHandler]:
    login = "Basic " + base64.b64encode(f"AWS:{registry.password}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(HTTPStatus.OK if self.path == "/v2/" else HTTPStatus.NOT_FOUND)

        def do_HEAD(self) -> None:
            _, _, digest = self.path.rpartition("/")
            self._answer(HTTPStatus.OK if digest in registry.blobs else HTTPStatus.NOT_FOUND)

        def do_POST(self) -> None:
            self._body()
            upload = f"{len(registry.uploads)}"
            registry.uploads[upload] = bytearray()
            place = self.path.partition("/blobs/")[0]
            self._answer(HTTPStatus.ACCEPTED, {"Location": f"{place}/blobs/uploads/{upload}", "Range": "0-0"})

        def do_PATCH(self) -> None:
            content = registry.uploads[self._upload()]
            content += self._body()
            self._answer(HTTPStatus.ACCEPTED, {"Location": self.path, "Range": f"0-{len(content) - 1}"})

        def do_PUT(self) -> None:
            content = self._body()
            if match := re.fullmatch(r"/v2/(.+)/manifests/(.+)", self.path):
                digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
                registry.on_push(match[1], match[2], content, self.headers["Content-Type"])
                self._answer(HTTPStatus.CREATED, {"Docker-Content-Digest": digest})
                return
            blob = bytes(registry.uploads.pop(self._upload()) + content)
            digest = self.path.partition("digest=")[2].replace("%3A", ":")
            if f"sha256:{hashlib.sha256(blob).hexdigest()}" != digest:
                self._answer(HTTPStatus.BAD_REQUEST)
                return
            registry.blobs[digest] = blob
            self._answer(HTTPStatus.CREATED, {"Docker-Content-Digest": digest})

        def _upload(self) -> str:
            return self.path.partition("?")[0].rpartition("/")[2]

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            content = bytearray()
            while size := int(self.rfile.readline().partition(b";")[0], 16):
                content += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return bytes(content)

        def _answer(self, status: HTTPStatus, headers: dict[str, str] | None = None) -> None:
            if self.headers.get("Authorization") != login:
                status, headers = HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": 'Basic realm="registry"'}
            self.send_response(status)
            for name, value in {"Docker-Distribution-API-Version": "registry/2.0", **(headers or {})}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    return Handler


def _proxy_handler(registry_host: str, registry_port: int) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            host, _, port = self.path.rpartition(":")
            # A build may fetch from elsewhere; that goes where it was to go.
            place = ("127.0.0.1", registry_port) if host == registry_host else (host, int(port))
            with socket.create_connection(place, timeout=60) as other:
                self.send_response(HTTPStatus.OK)
                self.end_headers()
                _pass_on(self.connection, other)

        def log_message(self, *_: object) -> None: ...

    return Handler


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    """Both ways, until one of them closes."""
    others = {one: other, other: one}
    while True:
        for ready in select.select(list(others), [], [])[0]:
            try:
                content = ready.recv(1 << 16)
                if not content:
                    return
                others[ready].sendall(content)
            except OSError:
                return
