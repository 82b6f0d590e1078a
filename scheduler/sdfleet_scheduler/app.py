"""The process's own HTTP face, on loopback: liveness, readiness, metrics, status."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Response, status
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from sdfleet_scheduler.identity import Identity
from sdfleet_scheduler.instruments import Instruments
from sdfleet_scheduler.status import StatusBoard


def build_app(identity: Identity, board: StatusBoard, instruments: Instruments) -> FastAPI:
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

    return app
