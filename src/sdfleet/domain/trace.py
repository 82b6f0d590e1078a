"""The trace that a request belongs to, carried from its headers to the notice of its result.

Kept in the form of `X-Amzn-Trace-Id` (X-Ray Developer Guide, "Tracing header"), which SQS and Lambda call
`AWSTraceHeader`; a W3C `traceparent` (Trace Context, 3.2) is brought into it and back.
"""

from __future__ import annotations

import re

#: The message attribute.
TRACE_HEADER = "AWSTraceHeader"
#: Room for the fields that clients may add, and no more: it lies in every record.
MAX_LENGTH = 512

_ROOT = re.compile(r"(?:^|;)\s*Root=(1-[0-9a-f]{8}-[0-9a-f]{24})\s*(?:;|$)", re.IGNORECASE)
_PARENT = re.compile(r"(?:^|;)\s*Parent=([0-9a-f]{16})\s*(?:;|$)", re.IGNORECASE)
_SAMPLED = re.compile(r"(?:^|;)\s*Sampled=1\s*(?:;|$)", re.IGNORECASE)
# Later versions may append fields; version ff and zeros are invalid (Trace Context, 3.2.2).
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_SAMPLED_FLAG = 0x01


def read_header(*, traceparent: str | None, amzn_trace_id: str | None) -> str | None:
    """The trace in the form of `X-Amzn-Trace-Id`; None: neither header holds one.

    The caller's `traceparent` goes first: API Gateway puts an `X-Amzn-Trace-Id` of its own on every request.
    """
    match = _TRACEPARENT.fullmatch(traceparent.strip().lower()) if traceparent else None
    if match is not None:
        trace, parent, flags = match.groups()
        sampled = int(flags, 16) & _SAMPLED_FLAG
        return f"Root=1-{trace[:8]}-{trace[8:]};Parent={parent};Sampled={sampled}"
    if amzn_trace_id is None or len(amzn_trace_id) > MAX_LENGTH or not amzn_trace_id.isprintable():
        return None
    header = amzn_trace_id.strip()
    return header if header.isascii() and _ROOT.search(header) else None


def trace_id(header: str) -> str | None:
    """`1-5759e988-bd862e3fe1be46a994272793`, as X-Ray's console and our log lines name it."""
    match = _ROOT.search(header)
    return match[1].lower() if match else None


def write_traceparent(header: str) -> str | None:
    """The W3C form; None where the header names no parent, which W3C demands."""
    root, parent = trace_id(header), _PARENT.search(header)
    if root is None or parent is None:
        return None
    flags = "01" if _SAMPLED.search(header) else "00"
    return f"00-{root[2:].replace('-', '')}-{parent[1].lower()}-{flags}"


def log_fields(header: str | None) -> dict[str, str]:
    """What every log line about it says of the trace: `trace_id`, or nothing."""
    identity = trace_id(header) if header else None
    return {"trace_id": identity} if identity else {}
