"""What the service tells of itself: its runtimes, its description, that it lives."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from sdfleet_lambdas.composition import Services
from sdfleet_lambdas.openapi import document
from sdfleet_lambdas.proxy import Request, Response


def list_runtimes(_request: Request, services: Services, _parameters: Mapping[str, str]) -> Response:
    return Response(
        HTTPStatus.OK,
        {
            "runtimes": [
                {
                    "name": runtime.name,
                    "type": runtime.type,
                    "tasktypes": list(runtime.tasktypes),
                    "model": runtime.model_filename,
                    "dynamic_model": runtime.dynamic_model,
                    "timeout_s": runtime.timeout_s,
                    "max_attempts": runtime.max_attempts,
                }
                for runtime in services.deployment.runtimes
            ]
        },
    )


def describe(request: Request, _services: Services, _parameters: Mapping[str, str]) -> Response:
    return Response(HTTPStatus.OK, document(server=request.base_path or "/"))


def report_health(_request: Request, _services: Services, _parameters: Mapping[str, str]) -> Response:
    """No call to AWS: it is open to everybody."""
    return Response(HTTPStatus.OK, {"status": "ok"})
