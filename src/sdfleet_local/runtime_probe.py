"""Looks at the user's own server before anything starts: is it there, is it what was said, what has it loaded."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import httpx

from sdfleet.domain.task import RuntimeType
from sdfleet.errors import LocalModeError

#: A server that loads a model answers late (runtimes.md: up to 1 s); one that is not there mostly at once.
TIMEOUT_S = 10.0

#: A path that answers 200 on a server of this type and on no other.
_PROBE_PATHS = {
    RuntimeType.SDWEBUI: "/sdapi/v1/options",
    RuntimeType.COMFYUI: "/system_stats",
    RuntimeType.CUSTOM: "/health",
}
_HINTS = {
    RuntimeType.SDWEBUI: "start the WebUI with --api (and without --api-auth)",
    RuntimeType.COMFYUI: "start ComfyUI and name its address",
    RuntimeType.CUSTOM: "a custom runtime answers GET /health with 200 when it is ready",
}


def checked_url(url: str) -> str:
    """`url` without a trailing slash.

    Raises:
        LocalModeError: it is no http(s) address.
    """
    parts = urlsplit(url)
    try:
        has_port_in_range = parts.port is None or parts.port > 0
    except ValueError:
        has_port_in_range = False
    if parts.scheme not in ("http", "https") or not parts.hostname or not has_port_in_range:
        raise LocalModeError(f"--runtime-url {url!r} is no http address; write it like http://127.0.0.1:8188.")
    return url.rstrip("/")


def probe(runtime_type: RuntimeType, url: str) -> str | None:
    """The checkpoint that the server has loaded, where it says so (WebUI); None otherwise.

    Raises:
        LocalModeError: nobody answers, or something else does.
    """
    path = _PROBE_PATHS[runtime_type]
    try:
        answer = httpx.get(url + path, timeout=TIMEOUT_S, trust_env=False)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise LocalModeError(
            f"No {runtime_type} answers at {url} ({type(error).__name__}); {_HINTS[runtime_type]}."
        ) from error
    fields = _json_object(answer)
    if answer.status_code != httpx.codes.OK or (runtime_type is not RuntimeType.CUSTOM and fields is None):
        raise LocalModeError(
            f"What answers at {url} is no {runtime_type}: GET {path} gave {answer.status_code}; {_HINTS[runtime_type]}."
        )
    if runtime_type is not RuntimeType.SDWEBUI or fields is None:
        return None
    checkpoint = str(fields.get("sd_model_checkpoint") or "")
    # The WebUI writes the file's hash behind its name; requests name the file.
    return re.sub(r"\s*\[[0-9a-f]+\]$", "", checkpoint) or None


def _json_object(answer: httpx.Response) -> dict[str, Any] | None:
    try:
        fields = answer.json()
    except ValueError:
        return None
    return fields if isinstance(fields, dict) else None
