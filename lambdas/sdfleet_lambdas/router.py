"""Which handler answers which path and method."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from urllib.parse import unquote

from sdfleet_lambdas import problem
from sdfleet_lambdas.composition import Services
from sdfleet_lambdas.proxy import Request, Response

#: Takes the request, the services, and the path's parameters by name.
RouteHandler = Callable[[Request, Services, Mapping[str, str]], Response]


@dataclass(frozen=True)
class Route:
    #: `/v1alpha2/tasks/{id}`; a trailing slash is the same path.
    path: str
    methods: Mapping[str, RouteHandler]

    @property
    def allow(self) -> str:
        """The `Allow` header: HEAD comes with GET, OPTIONS with everything."""
        implied = {"HEAD"} if "GET" in self.methods else set()
        return ", ".join(sorted({*self.methods, *implied, "OPTIONS"}))

    def match(self, path: str) -> Mapping[str, str] | None:
        """The path's parameters; None if it is another path."""
        wanted, given = self.path.split("/"), path.removesuffix("/").split("/")
        if len(wanted) != len(given):
            return None
        parameters: dict[str, str] = {}
        for pattern, part in zip(wanted, given, strict=True):
            if pattern.startswith("{") and part:
                parameters[pattern.strip("{}")] = unquote(part)
            elif pattern != part:
                return None
        return parameters


def dispatch(routes: Sequence[Route], request: Request, services: Services) -> Response:
    """Raises whatever the handler raises."""
    for route in routes:
        parameters = route.match(request.path)
        if parameters is not None:
            return _answer(route, parameters, request, services)
    return problem.response(HTTPStatus.NOT_FOUND, "There is nothing at this path; GET /openapi.json lists the paths.")


def _answer(route: Route, parameters: Mapping[str, str], request: Request, services: Services) -> Response:
    if request.method == "OPTIONS":
        return Response(HTTPStatus.NO_CONTENT, headers={"Allow": route.allow})
    handler = route.methods.get("GET" if request.method == "HEAD" else request.method)
    if handler is None:
        detail = f"This path takes {route.allow}."
        return problem.response(HTTPStatus.METHOD_NOT_ALLOWED, detail, headers={"Allow": route.allow})
    return handler(request, services, parameters)


def without_body(response: Response) -> Response:
    """The answer to HEAD."""
    return replace(response, body=None, headers={"Content-Type": "application/json", **response.headers})
