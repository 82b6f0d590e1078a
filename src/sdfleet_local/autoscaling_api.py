"""EC2 Auto Scaling's calls on instances that go, for the local groups: what moto lacks or only pretends.

The AWS query protocol (a form in, XML out), served by the supervisor, which has the groups. The embedded endpoint
passes these calls on to it, so that boto3 and the AWS command line find them where they look for everything else.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from sdfleet.errors import LocalModeError
from sdfleet_local.aws_endpoint_autoscaling import SERVED, is_autoscaling
from sdfleet_local.group import LocalGroup
from sdfleet_local.groups import Groups
from sdfleet_local.member import LifecycleAction

_NAMESPACE = "http://autoscaling.amazonaws.com/doc/2011-01-01/"
_RESULTS = ("CONTINUE", "ABANDON")
_HEALTH = ("Healthy", "Unhealthy")
#: Names and an id; far above what these calls need.
_MAX_BODY_BYTES = 16 * 1024


class ValidationError(LocalModeError):
    """The call names something that is not there, or lacks a parameter."""


class AutoScalingServer:
    """Listens on loopback until it is closed."""

    def __init__(self, groups: Groups) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_for(groups))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name="autoscaling", daemon=True
        ).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def answer(groups: Groups, parameters: Mapping[str, str]) -> str:
    """The XML that answers a call of one of `SERVED`.

    Raises:
        ValidationError: as Auto Scaling would, with its texts where they are known.
    """
    action = parameters.get("Action", "")
    if action == "CompleteLifecycleAction":
        group, wait = _wait(groups, parameters)
        if _required(parameters, "LifecycleActionResult") not in _RESULTS:
            raise ValidationError(f"LifecycleActionResult must be one of {', '.join(_RESULTS)}")
        group.complete(wait)
        return _success(action)
    if action == "RecordLifecycleActionHeartbeat":
        group, wait = _wait(groups, parameters)
        group.extend(wait)
        return _success(action)
    if action == "SetInstanceHealth":
        _set_health(groups, parameters)
        return _success(action)
    return _terminate(groups, parameters)


def _wait(groups: Groups, parameters: Mapping[str, str]) -> tuple[LocalGroup, LifecycleAction]:
    name, hook = _required(parameters, "AutoScalingGroupName"), _required(parameters, "LifecycleHookName")
    group = groups.named(name)
    if group is None:
        raise ValidationError(f"AutoScalingGroup name not found - AutoScalingGroup {name} not found")
    instance_id, token = parameters.get("InstanceId"), parameters.get("LifecycleActionToken")
    if instance_id is None and token is None:
        raise ValidationError("Either InstanceId or LifecycleActionToken must be given")
    try:
        action = group.lifecycle_action(hook, instance_id=instance_id, token=token)
    except LocalModeError as error:
        raise ValidationError(str(error)) from error
    if action is None:
        sought = f"token {token}" if token is not None else f"instance ID {instance_id}"
        raise ValidationError(f"No active Lifecycle Action found with {sought}")
    return group, action


def _terminate(groups: Groups, parameters: Mapping[str, str]) -> str:
    instance_id = _required(parameters, "InstanceId")
    decrement = _required(parameters, "ShouldDecrementDesiredCapacity") == "true"
    group = _let_go(groups, instance_id, decrement=decrement)
    fields = {
        "ActivityId": str(uuid.uuid4()),
        "AutoScalingGroupName": group.name,
        "Cause": "An instance was taken out of service in response to a user request.",
        "Description": f"Terminating EC2 instance: {instance_id}",
        "Progress": "0",
        "StartTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "StatusCode": "InProgress",
    }
    activity = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields.items())
    return _success("TerminateInstanceInAutoScalingGroup", f"<Activity>{activity}</Activity>")


def _set_health(groups: Groups, parameters: Mapping[str, str]) -> None:
    instance_id, health = _required(parameters, "InstanceId"), _required(parameters, "HealthStatus")
    if health not in _HEALTH:
        raise ValidationError(f"HealthStatus must be one of {', '.join(_HEALTH)}")
    # No grace period here, whatever ShouldRespectGracePeriod says; and who is said to be healthy stays as it is.
    if health == "Unhealthy":
        _let_go(groups, instance_id, decrement=False)


def _let_go(groups: Groups, instance_id: str, *, decrement: bool) -> LocalGroup:
    """Its group, which replaces it unless `decrement`."""
    try:
        group = groups.of(instance_id)
        group.terminate(instance_id, decrement=decrement)
    except LocalModeError as error:
        raise ValidationError(
            f"Instance Id not found - No managed instance found for instance ID: {instance_id}"
        ) from error
    return group


def _required(parameters: Mapping[str, str], name: str) -> str:
    value = parameters.get(name)
    if not value:
        field = name[0].lower() + name[1:]
        problem = f"Value null at '{field}' failed to satisfy constraint: Member must not be null"
        raise ValidationError(f"1 validation error detected: {problem}")
    return value


def _success(action: str, result: str = "") -> str:
    metadata = f"<ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId></ResponseMetadata>"
    return (
        f'<{action}Response xmlns="{_NAMESPACE}"><{action}Result>{result}</{action}Result>{metadata}</{action}Response>'
    )


def _failure(message: str) -> str:
    error = f"<Error><Type>Sender</Type><Code>ValidationError</Code><Message>{escape(message)}</Message></Error>"
    return f'<ErrorResponse xmlns="{_NAMESPACE}">{error}<RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>'


def _handler_for(groups: Groups) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 30

        def do_POST(self) -> None:
            size = self.headers.get("Content-Length", "")
            # The header, which no web page can send to another origin, as the endpoint itself wants it.
            if not is_autoscaling(self.headers.get("Authorization", "")):
                self._answer(HTTPStatus.FORBIDDEN, _failure("The call is not signed for autoscaling"))
            elif not size.isdigit() or int(size) > _MAX_BODY_BYTES:
                self._answer(HTTPStatus.BAD_REQUEST, _failure("The call has no length, or too much of it"))
            else:
                form = parse_qs(self.rfile.read(int(size)).decode(errors="replace"))
                self._serve({name: values[0] for name, values in form.items()})

        def _serve(self, parameters: Mapping[str, str]) -> None:
            if parameters.get("Action") not in SERVED:
                self._answer(HTTPStatus.BAD_REQUEST, _failure("There is no such action here"))
                return
            try:
                self._answer(HTTPStatus.OK, answer(groups, parameters))
            except ValidationError as error:
                self._answer(HTTPStatus.BAD_REQUEST, _failure(str(error)))

        def _answer(self, status: HTTPStatus, xml: str) -> None:
            body = xml.encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
            """The group logs what changes."""

    return Handler
