"""Owns the processes of a local deployment, from the first port to the last kill."""

from __future__ import annotations

import http.client
import os
import secrets
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from sdfleet.aws.clients import Clients
from sdfleet.aws.clock import SystemClock
from sdfleet.environment import (
    CallbackEnvironment,
    HandlerEnvironment,
    RolloutEnvironment,
    SpotPriceEnvironment,
)
from sdfleet.errors import LocalModeError
from sdfleet.telemetry import logs
from sdfleet_local import child, processes
from sdfleet_local.autoscaling_api import AutoScalingServer
from sdfleet_local.aws_latency import write_latencies
from sdfleet_local.child import Child
from sdfleet_local.control import ControlServer, ControlTarget
from sdfleet_local.fleet_scaler import create_rule, has_fast_scaler, scaler_environment
from sdfleet_local.function_settings import FunctionSettings
from sdfleet_local.groups import Groups
from sdfleet_local.loopback import free_port, listens
from sdfleet_local.outputs import outputs_of
from sdfleet_local.plan import DEPLOYMENT_ID, REGION, LocalPlan
from sdfleet_local.processes import ProcessIdentity, identify
from sdfleet_local.progress import ProgressWriter, Step, StepKind
from sdfleet_local.provisioning import Resources, launch_template, provision, publish_release
from sdfleet_local.scaling_groups import GroupBuilder
from sdfleet_local.state_file import ControlAccess, LocalDirectory, LocalState

log = logs.get_logger(__name__)

#: A scheduler that fails thrice in a row is not going to start: bad arguments or a broken installation.
MAX_DEATHS_AT_BOOT = 3
#: Time for tasks in hand to be given back when the deployment stops; their records end with it anyway.
STOP_GRACE = timedelta(seconds=8)
#: How often the groups look after their instances.
TICK_S = 0.2


class _Stopped(Exception):
    """SIGTERM came."""


class Supervisor:
    def __init__(self, plan: LocalPlan, directory: LocalDirectory, progress: ProgressWriter) -> None:
        self._plan = plan
        self._directory = directory
        self._progress = progress
        self._clock = SystemClock()
        self._stopping = threading.Event()
        self._children: dict[str, Child] = {}
        self._groups = Groups()
        self._functions_environment: dict[str, str] = {}
        self._control_access: ControlAccess | None = None
        self._is_ready = False

    def run(self) -> int:
        """Returns the process's exit status once everything has ended."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stopping.set())
        last = Step(StepKind.FAILED, "It was stopped before it was ready.")
        try:
            self._start()
            self._is_ready = True
            self._save()
            self._progress.end(Step(StepKind.READY))
            self._watch()
        except _Stopped:
            log.info("supervisor.stopping")
        except BrokenPipeError:
            log.warning("supervisor.abandoned")
        except LocalModeError as error:
            log.error("supervisor.failed", reason=str(error))
            last = Step(StepKind.FAILED, str(error))
        except Exception as error:  # the last line of a process: nothing may be left running
            log.exception("supervisor.crashed")
            last = Step(StepKind.FAILED, f"{type(error).__name__}; see {self._directory.logs / 'supervisor.log'}.")
        self._stop()
        if not self._is_ready:
            self._say_last(last)
        return 0 if self._is_ready else 1

    def _start(self) -> None:
        self._save()
        self._progress.step("embedded AWS endpoint")
        endpoint_port = free_port()
        endpoint_url = f"http://127.0.0.1:{endpoint_port}"
        environment = {**child.base_environment(), "AWS_ENDPOINT_URL": endpoint_url}
        scratch = self._directory.scratch / "aws-endpoint"
        scratch.mkdir(parents=True, exist_ok=True)
        ports = ("--port", str(endpoint_port), "--autoscaling-url", AutoScalingServer(self._groups).url)
        latency = ("--latency-ms", write_latencies(self._plan.aws_latency_ms))
        self._spawn("aws-endpoint", *ports, *latency, environment={**environment, "TMPDIR": str(scratch)})
        # Built while the endpoint starts: it costs the SDK half a second.
        clients = Clients(region=REGION, endpoint_url=endpoint_url)
        _ = clients.sqs, clients.sns, clients.ssm, clients.dynamodb, clients.s3, clients.ec2, clients.cloudwatch
        self._wait_for("the embedded AWS endpoint", lambda: listens(endpoint_port))

        self._progress.step("queues, topics, table and buckets")
        # Beside the others: the endpoint's first EC2 call takes three seconds.
        pool = ThreadPoolExecutor(1)
        runtimes = [runtime.name for runtime in self._plan.runtimes]
        launches = pool.submit(lambda: {name: launch_template(clients, name) for name in runtimes})
        pool.shutdown(wait=False)
        resources = provision(clients, self._plan.runtimes, model_bucket=self._plan.model_bucket)

        count = self._plan.instances * len(self._plan.runtimes)
        self._progress.step(f"API and {count} instance{'' if count == 1 else 's'}")
        scaled = scaler_environment(self._plan, resources)
        if scaled.fleets:
            create_rule(clients)
        api_key = secrets.token_urlsafe(30)
        self._functions_environment = {
            **environment,
            **resources.deployment.to_env(),
            **HandlerEnvironment(
                self._plan.waiting_cap,
                self._plan.link_lifetime_s,
                callback_hosts=self._plan.allowed_hosts,
                wake_topic_arn=resources.wake_topic_arn if scaled.fleets else None,
                scaled_runtimes=tuple(fleet.runtime for fleet in scaled.fleets),
            ).to_env(),
            **scaled.to_env(),
            **CallbackEnvironment(
                DEPLOYMENT_ID, resources.callbacks.url, named_hosts=self._plan.allowed_hosts
            ).to_env(),
            **SpotPriceEnvironment(resources.deployment.table_name, self._plan.instance_types).to_env(),
            **RolloutEnvironment(
                DEPLOYMENT_ID,
                resources.deployment.table_name,
                tuple(runtime.name for runtime in resources.deployment.runtimes),
            ).to_env(),
            **self._function_settings(resources, api_key).to_env(),
        }
        self._spawn("functions", environment=self._functions_environment)
        builder = GroupBuilder(
            self._plan,
            self._directory,
            clients,
            resources,
            self._clock,
            environment,
            endpoint_host=f"127.0.0.1:{endpoint_port}",
        )
        self._groups.add(*builder.build(launches.result()))
        control = ControlServer(
            ControlTarget(
                describe=self._groups.describe,
                interrupt=self._groups.interrupt,
                recommend_rebalance=self._groups.recommend_rebalance,
                terminate=self._groups.terminate,
                drain=self._groups.drain,
            )
        )
        control.start()
        self._control_access = control.access
        self._tick()
        # While they start: nobody needs it before, and the endpoint takes a second for its first parameter.
        builder.watch(self._groups)
        publish_release(clients, self._plan.runtimes, now=self._clock.now())
        self._wait_for("the API and its instances", self._everything_answers)
        self._directory.write_outputs(
            outputs_of(
                resources.deployment,
                api_port=self._plan.port,
                api_key=api_key,
                endpoint_url=endpoint_url,
                outputs_file=self._directory.outputs_file,
            )
        )

    def _function_settings(self, resources: Resources, api_key: str) -> FunctionSettings:
        return FunctionSettings(
            port=self._plan.port,
            api_key=api_key,
            rate=self._plan.rate,
            burst=self._plan.burst,
            submissions=resources.submissions,
            callbacks=resources.callbacks,
            rollout_events=resources.rollout_events,
            wakes=resources.wakes,
            scaler_every_s=self._plan.scaling_minute_s if has_fast_scaler(self._plan) else None,
        )

    def _spawn(self, role: str, *arguments: str, environment: dict[str, str]) -> None:
        module = f"sdfleet_local.{role.replace('-', '_')}"
        log_file = self._directory.logs / f"{role}.log"
        self._children[role] = child.start(module, *arguments, environment=environment, log_file=log_file)
        self._save()

    def _wait_for(self, what: str, is_true: Callable[[], bool]) -> None:
        end = time.monotonic() + self._plan.start_patience_s
        while not is_true():
            self._pause()
            for role, one in self._children.items():
                if not one.is_running:
                    raise LocalModeError(f"{role} did not start: {one.last_words() or 'it said nothing'}")
            if time.monotonic() > end:
                seconds = self._plan.start_patience_s
                raise LocalModeError(f"{what} did not answer within {seconds:.0f} s; see {self._directory.logs}.")

    def _everything_answers(self) -> bool:
        self._tick()
        for group in self._groups:
            if group.deaths_at_boot >= MAX_DEATHS_AT_BOOT:
                raise LocalModeError(f"The instances of {group.runtime} die at boot: {group.last_words}")
        return all(group.is_at_capacity for group in self._groups) and _is_healthy(self._plan.port)

    def _watch(self) -> None:
        log.info("supervisor.ready", port=self._plan.port)
        while True:
            self._pause()
            self._tick()
            if not self._children["aws-endpoint"].is_running:
                # Queues and records were in its memory: what is left would only fail.
                raise LocalModeError("The embedded AWS endpoint has died; run ./deploy.sh --local again.")
            if not self._children["functions"].is_running:
                log.error("functions.died", last_words=self._children["functions"].last_words())
                self._pause(1.0)
                self._spawn("functions", environment=self._functions_environment)

    def _tick(self) -> None:
        if self._groups.tick():
            self._save()

    def _pause(self, seconds: float = TICK_S) -> None:
        if self._stopping.wait(seconds):
            raise _Stopped

    def _stop(self) -> None:
        ends_at = datetime.now(UTC) + STOP_GRACE
        functions = self._children.get("functions")
        if functions is not None and functions.is_running:
            functions.process.terminate()
        for group in self._groups:
            group.stop(at=ends_at)
        while self._groups.instances() and datetime.now(UTC) < ends_at + STOP_GRACE:
            self._groups.tick()
            time.sleep(TICK_S / 4)
        processes.stop(self._recorded(), grace=timedelta(seconds=2))
        for one in self._children.values():
            one.process.poll()
        self._directory.forget()
        log.info("supervisor.stopped")

    def _recorded(self) -> tuple[ProcessIdentity, ...]:
        identities = [one.identity for one in self._children.values()]
        identities += [instance.identity for instance in self._groups.instances()]
        return tuple(identity for identity in identities if identity is not None)

    def _save(self) -> None:
        own = identify(os.getpid())
        if own is not None:
            self._directory.write_state(LocalState(own, self._recorded(), self._control_access, self._is_ready))

    def _say_last(self, step: Step) -> None:
        try:
            self._progress.end(step)
        except BrokenPipeError:
            log.warning("supervisor.abandoned")


def _is_healthy(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5.0)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
