"""The HTTP API: API Gateway's proxy events in, its answers out.

The API key and the throttling are the gateway's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from sdfleet.domain import names
from sdfleet.domain.task import JsonObject
from sdfleet.domain.wire.draft import Draft
from sdfleet.domain.wire.requests import read_v1alpha1, read_v1alpha2
from sdfleet.errors import SdfleetError, ServiceUnavailable
from sdfleet.telemetry import logs, metrics
from sdfleet_lambdas import composition, discovery, problem, proxy, status, task_compat, uploads
from sdfleet_lambdas.acceptance import accept
from sdfleet_lambdas.composition import Services
from sdfleet_lambdas.idempotency import idempotency_key, with_key_checked
from sdfleet_lambdas.json_body import read_json
from sdfleet_lambdas.proxy import Event, Request, Response
from sdfleet_lambdas.router import Route, RouteHandler, dispatch, without_body
from sdfleet_lambdas.waiting import preferred_wait, wait_for_end

log = logs.get_logger(__name__)

#: Our longest path has 150 characters; a caller may send any.
_LOGGED_PATH = 200


def handler(event: Event, _context: Any) -> dict[str, Any]:
    """Lambda's entry point."""
    return handle(event, composition.services())


def handle(event: Event, services: Services) -> dict[str, Any]:
    """Never raises: what goes wrong is a problem document."""
    began = services.clock.now()
    method, path = str(event.get("httpMethod")), str(event.get("path"))
    with logs.bound(request_id=proxy.request_id(event), **proxy.trace_fields(event)):
        response = _answered(event, services)
        # Logs are among the dearest things of a request.
        tell = log.debug if response.is_logged else log.info
        tell(
            "request.answered",
            method=method,
            path=path[:_LOGGED_PATH],
            status=int(response.status),
            seconds=round((services.clock.now() - began).total_seconds(), 3),
            **_refusal(method, response, services),
        )
    return (without_body(response) if method == "HEAD" else response).to_event()


def _answered(event: Event, services: Services) -> Response:
    try:
        return dispatch(ROUTES, proxy.read(event), services)
    except ServiceUnavailable as error:
        log.warning("request.unavailable", reason=str(error))
        return problem.from_error(error) or problem.internal()
    except SdfleetError as error:
        response = problem.from_error(error)
        if response is None:
            log.exception("request.failed")
        return response or problem.internal()
    except Exception:  # the supervisor of all requests
        log.exception("request.failed")
        return problem.internal()


def _refusal(method: str, response: Response, services: Services) -> dict[str, Any]:
    """The metric of a refused submission, for the line that tells of it."""
    if method != "POST" or not HTTPStatus.BAD_REQUEST <= response.status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return {}
    return metrics.embedded({names.REQUESTS_REFUSED: 1}, metrics.of_deployment(services.deployment.deployment_id))


def _submitting(read: Callable[[JsonObject], Draft]) -> RouteHandler:
    def submit(request: Request, services: Services, _parameters: Mapping[str, str]) -> Response:
        since = services.clock.now()
        draft = replace(with_key_checked(read(read_json(request)), request), trace_header=request.trace_header)
        acceptance = accept(draft, services, idempotency_key=idempotency_key(request))
        wait = preferred_wait(request)
        if wait is None:
            return Response(HTTPStatus.OK, acceptance.answer, is_logged=acceptance.is_new)
        return wait_for_end(acceptance, wait, request, services, since=since)

    return submit


ROUTES = (
    Route("/v1alpha2", {"POST": _submitting(read_v1alpha2)}),
    Route("/v1alpha1", {"POST": _submitting(read_v1alpha1)}),
    Route("/v1alpha2/tasks/{id}", {"GET": status.show, "DELETE": status.cancel}),
    Route("/v1alpha2/uploads", {"POST": uploads.create}),
    Route("/v1alpha2/runtimes", {"GET": discovery.list_runtimes}),
    Route("/task", {"GET": task_compat.show, "POST": task_compat.submit}),
    Route("/openapi.json", {"GET": discovery.describe}),
    Route("/health", {"GET": discovery.report_health}),
)
