"""EC2 Auto Scaling's API for the local groups, served by the supervisor, which has them.

The embedded endpoint passes these calls on to it, so that boto3 and the AWS command line find them where they look for
everything else. A call that is not emulated is refused by name.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

from sdfleet.errors import SdfleetError
from sdfleet_local import (
    refresh_calls,
    scaling_calls,
    scaling_instance_calls,
    scaling_lifecycle,
    scaling_policy_calls,
    scaling_process_calls,
)
from sdfleet_local.aws_endpoint_autoscaling import is_autoscaling
from sdfleet_local.groups import Groups
from sdfleet_local.scaling_calls import Result
from sdfleet_local.scaling_errors import CallRefused, NotEmulated, ValidationError
from sdfleet_local.scaling_wire import Request, answer, refusal

_MAX_BODY_BYTES = 64 * 1024

SERVED: Mapping[str, Callable[[Groups, Request], Result]] = {
    "CancelInstanceRefresh": refresh_calls.cancel_refresh,
    "CompleteLifecycleAction": scaling_lifecycle.complete_action,
    "DeleteLifecycleHook": scaling_lifecycle.delete_hook,
    "DeletePolicy": scaling_policy_calls.delete_policy,
    "DescribeAutoScalingGroups": scaling_calls.describe_groups,
    "DescribeAutoScalingInstances": scaling_calls.describe_instances,
    "DescribeInstanceRefreshes": refresh_calls.describe_refreshes,
    "DescribeLifecycleHookTypes": scaling_lifecycle.describe_hook_types,
    "DescribeLifecycleHooks": scaling_lifecycle.describe_hooks,
    "DescribePolicies": scaling_policy_calls.describe_policies,
    "DescribeScalingActivities": scaling_instance_calls.describe_activities,
    "DescribeScalingProcessTypes": scaling_process_calls.describe_process_types,
    "DescribeTags": scaling_calls.describe_tags,
    "EnterStandby": scaling_instance_calls.enter_standby,
    "ExecutePolicy": scaling_policy_calls.execute_policy,
    "ExitStandby": scaling_instance_calls.exit_standby,
    "PutLifecycleHook": scaling_lifecycle.put_hook,
    "PutScalingPolicy": scaling_policy_calls.put_policy,
    "RecordLifecycleActionHeartbeat": scaling_lifecycle.record_heartbeat,
    "ResumeProcesses": scaling_process_calls.resume_processes,
    "RollbackInstanceRefresh": refresh_calls.roll_back_refresh,
    "SetDesiredCapacity": scaling_calls.set_desired_capacity,
    "SetInstanceHealth": scaling_instance_calls.set_health,
    "SetInstanceProtection": scaling_instance_calls.set_protection,
    "StartInstanceRefresh": refresh_calls.start_refresh,
    "SuspendProcesses": scaling_process_calls.suspend_processes,
    "TerminateInstanceInAutoScalingGroup": scaling_instance_calls.terminate_instances,
    "UpdateAutoScalingGroup": scaling_calls.update_group,
}


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


def respond(groups: Groups, form: Mapping[str, str]) -> str:
    """The XML that answers a call.

    Raises:
        CallRefused: as Auto Scaling would, with its texts where they are known; or it is not emulated.
    """
    request = Request.of_form(form)
    call = SERVED.get(request.action)
    if call is None:
        raise NotEmulated(
            f"Local mode does not emulate {request.action or 'a call without an action'} of Auto Scaling; it has "
            f"{', '.join(SERVED)}."
        )
    return answer(request.action, call(groups, request))


def _handler_for(groups: Groups) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 30

        def do_POST(self) -> None:
            size = self.headers.get("Content-Length", "")
            # The header, which no web page can send to another origin, as the endpoint itself wants it.
            if not is_autoscaling(self.headers.get("Authorization", "")):
                self._answer(HTTPStatus.FORBIDDEN, refusal(ValidationError("The call is not signed for autoscaling")))
            elif not size.isdigit() or int(size) > _MAX_BODY_BYTES:
                problem = ValidationError("The call has no length, or too much of it")
                self._answer(HTTPStatus.BAD_REQUEST, refusal(problem))
            else:
                form = parse_qs(self.rfile.read(int(size)).decode(errors="replace"))
                self._serve({name: values[0] for name, values in form.items()})

        def _serve(self, form: Mapping[str, str]) -> None:
            try:
                self._answer(HTTPStatus.OK, respond(groups, form))
            except CallRefused as error:
                self._answer(HTTPStatus.BAD_REQUEST, refusal(error))
            except SdfleetError as error:
                # Of the embedded endpoint, which the call needed.
                self._answer(HTTPStatus.BAD_REQUEST, refusal(ValidationError(str(error))))

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
