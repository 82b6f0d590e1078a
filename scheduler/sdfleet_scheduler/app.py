"""The process's own HTTP face, on loopback: liveness, readiness, metrics, status, and an operator's drain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Body, FastAPI, Response, status
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from sdfleet.domain.interruption import Notice
from sdfleet_scheduler.identity import Identity
from sdfleet_scheduler.instruments import Instruments
from sdfleet_scheduler.status import StatusBoard


def build_app(
    identity: Identity, board: StatusBoard, instruments: Instruments, *, begin_drain: Callable[[], Notice]
) -> FastAPI:
    """`begin_drain` begins a drain on an operator's word and returns the notice in force."""
    app = FastAPI(title="sdfleet api-scheduler", version=identity.release, docs_url=None, redoc_url=None)

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        """The process serves. (A poller that died ends the process.)"""
        return {"status": "ok"}

    @app.get("/readyz")
    def readyz(response: Response) -> dict[str, str]:
        """200 if a message would be received and run now; else 503 with the reason."""
        reason = board.unready_reason()
        if reason is not None:
            response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
            return {"status": "unready", "reason": reason}
        return {"status": "ready"}

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(instruments.registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/v1/status")
    def show_status() -> dict[str, Any]:
        return board.view()

    # The body, an empty object, keeps web pages out: without asking first a browser sends no JSON to another origin.
    @app.post("/v1/drain", status_code=status.HTTP_202_ACCEPTED)
    def drain(body: Annotated[dict[str, Any], Body()]) -> dict[str, str]:
        """Stop receiving, finish or give back what is in hand, leave."""
        notice = begin_drain()
        return {"kind": notice.kind, "deadline": notice.deadline.isoformat()}

    return app
