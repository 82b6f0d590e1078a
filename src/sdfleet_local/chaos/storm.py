"""One run of the fault tester, from an empty directory to the account; leaves nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sdfleet.aws.clients import Clients
from sdfleet.errors import LocalModeError
from sdfleet_local import child
from sdfleet_local.chaos.accounting import account
from sdfleet_local.chaos.aws_faults import AwsFaultProxy
from sdfleet_local.chaos.comfyui_rack import ComfyUiRack
from sdfleet_local.chaos.evidence import Evidence, Listener, Records, read_bucket, read_dead_letters
from sdfleet_local.chaos.faults import Striker
from sdfleet_local.chaos.loop_thread import LoopThread
from sdfleet_local.chaos.redelivery import redeliveries, runs_at_once
from sdfleet_local.chaos.report import Report
from sdfleet_local.chaos.runtime_double import Job
from sdfleet_local.chaos.runtimes import DoubleRuntimes, Runtimes
from sdfleet_local.chaos.schedule import ChaosOptions, Fault, build_schedule
from sdfleet_local.chaos.traffic import Traffic, bucket_of, task_ids
from sdfleet_local.deployment import LocalDeployment
from sdfleet_local.loopback import free_port
from sdfleet_local.plan import REGION, LocalPlan

#: Requests a second: the storm is not about the usage plan.
_RATE = 2000.0
_LOOK_S = 1.0
#: The start of as many real servers as there are instances, on two cores.
_COMFYUI_PATIENCE_S = 300.0

OnStep = Callable[[str], None]


@dataclass(frozen=True)
class _Stage:
    """What runs while the storm does."""

    options: ChaosOptions
    loop: LoopThread
    runtimes: Runtimes
    proxy: AwsFaultProxy
    clients: Clients
    outputs: dict[str, str]
    deployment: LocalDeployment


def run_storm(options: ChaosOptions, on_step: OnStep, *, keep_logs: Path | None = None) -> Report:
    """For the main thread: at the end it holds off Ctrl-C.

    Raises:
        LocalModeError: the deployment did not start, or refused a task.
    """
    with ExitStack() as stack:
        stack.callback(signal.signal, signal.SIGINT, signal.getsignal(signal.SIGINT))
        root = Path(tempfile.mkdtemp(prefix="sdfleet-chaos-"))
        stack.callback(shutil.rmtree, root, ignore_errors=True)
        loop = LoopThread()
        stack.callback(loop.close)
        proxy = AwsFaultProxy(seed=options.seed, error_share=options.aws_error_share)
        loop.call(proxy.start())
        stack.callback(lambda: loop.call(proxy.close()))
        deployment = LocalDeployment(root)
        runtimes = _runtimes(options, loop, deployment, root, keep_logs)
        stack.callback(runtimes.close)
        on_step(f"starting {options.instances} instances")
        outputs = deployment.start(_plan(options, runtimes, proxy), lambda _: None)
        stack.callback(deployment.stop)
        if keep_logs is not None:
            stack.callback(shutil.copytree, deployment.directory.logs, keep_logs, dirs_exist_ok=True)
        endpoint = urlsplit(outputs["AwsEndpointUrl"])
        loop.call(proxy.connect_to(str(endpoint.hostname), int(endpoint.port or 0)))
        stage = _Stage(options, loop, runtimes, proxy, _clients(outputs), outputs, deployment)
        # An impatient second Ctrl-C must not leave the deployment running.
        stack.callback(signal.signal, signal.SIGINT, signal.SIG_IGN)
        return _weather(stage, on_step)


def _runtimes(
    options: ChaosOptions, loop: LoopThread, deployment: LocalDeployment, root: Path, keep_logs: Path | None
) -> Runtimes:
    if options.comfyui_command is None:
        return DoubleRuntimes(loop, seed=options.seed, longest_job_s=options.longest_job_s)
    rack = ComfyUiRack(
        options.comfyui_command,
        root / "comfyui",
        job_s=options.longest_job_s,
        task_ids=task_ids(options.tasks, options.seed),
        keep_logs=keep_logs,
    )
    rack.attend(lambda: _members(deployment))
    return rack


def _members(deployment: LocalDeployment) -> list[dict[str, Any]] | None:
    """The group's instances; None while it does not run."""
    try:
        return deployment.control().instances()
    except LocalModeError:
        return None


def _plan(options: ChaosOptions, runtimes: Runtimes, proxy: AwsFaultProxy) -> LocalPlan:
    planned = runtimes.planned()
    if options.scales:
        planned = replace(planned, scaling=replace(planned.scaling, max_instances=options.instances))
    return LocalPlan(
        runtimes=(planned,),
        start_patience_s=LocalPlan.start_patience_s if options.comfyui_command is None else _COMFYUI_PATIENCE_S,
        instances=0 if options.scales else options.instances,
        port=free_port(),
        rate=_RATE,
        burst=int(_RATE),
        waiting_cap=20,
        link_lifetime_s=3600,
        max_input_bytes=1024 * 1024,
        instance_endpoint_url=proxy.url,
        visibility_s=options.visibility_s,
    )


def _clients(outputs: dict[str, str]) -> Clients:
    """Never the user's own account: settings and credentials are the deployment's while the clients are built."""
    before = dict(os.environ)
    os.environ.update({name: value for name, value in child.base_environment().items() if name.startswith("AWS_")})
    try:
        clients = Clients(region=REGION, endpoint_url=outputs["AwsEndpointUrl"])
        _ = clients.sqs, clients.sns, clients.dynamodb, clients.s3
    finally:
        os.environ.clear()
        os.environ.update(before)
    return clients


def _weather(stage: _Stage, on_step: OnStep) -> Report:
    options, clients, outputs = stage.options, stage.clients, stage.outputs
    schedule = build_schedule(options)
    is_paced = options.comfyui_command is not None and bool(schedule)
    share = 1 / len(schedule) if is_paced else 1.0
    workload = stage.runtimes.workload
    traffic = Traffic(outputs, clients, workload, tasks=options.tasks, seed=options.seed, share=share)
    records = Records(clients, outputs)
    with (
        closing(traffic),
        Listener(clients, outputs["sdNotificationLambdaARN"], {"accepted": ["1"]}) as requests,
        Listener(clients, outputs["sdNotificationOutputArn"]) as notices,
    ):
        striker = Striker(
            stage.deployment, stage.loop, stage.runtimes, stage.proxy, traffic, requests, is_paced=is_paced
        )
        on_step(f"{options.tasks} tasks, {len(schedule)} faults in {options.storm_s:.0f} s")
        began = time.monotonic()
        _storm(traffic, striker, schedule)
        on_step("the storm is over; waiting for the last tasks")
        _wait_until_settled(records, traffic, options.patience_s)
        seconds = time.monotonic() - began
        on_step("counting")
    records.reload()
    evidence = Evidence(
        accepted=frozenset(traffic.accepted),
        cancel_asked=frozenset(traffic.cancelled),
        poisons=tuple(traffic.poisons),
        records={task_id: records.known[task_id] for task_id in traffic.accepted if task_id in records.known},
        notices=tuple(json.loads(body) for body in notices.heard),
        objects=read_bucket(clients, bucket_of(outputs, "output")),
        dead_letters=read_dead_letters(clients, outputs),
        runtime_faults=_faults_met(stage.runtimes.jobs),
        flaws=traffic.flaws,
        unended_hangs=stage.runtimes.unended_hangs,
    )
    calls = stage.proxy.calls
    return Report(
        options=options,
        account=account(evidence, workload),
        struck={kind.value: count for kind, count in striker.struck.items()},
        missed={kind.value: count for kind, count in striker.missed.items()},
        aws_calls=sum(calls.values()),
        aws_faults={f"{service} {fault}": count for (service, fault), count in calls.items() if fault},
        redeliveries=redeliveries(striker.strikes, stage.runtimes.jobs),
        runs_at_once=runs_at_once(stage.runtimes.jobs),
        seconds=seconds,
        hangs_ended_s=tuple(stage.runtimes.hangs_ended_s),
    )


def _storm(traffic: Traffic, striker: Striker, schedule: tuple[Fault, ...]) -> None:
    """Returns when all tasks are submitted and all faults have struck."""
    stopping = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        works = [pool.submit(traffic.submit_all), pool.submit(striker.run, schedule, stopping)]
        try:
            while not all(work.done() for work in works):
                wait(works, timeout=_LOOK_S)
                _raise_failure(works)
        finally:
            stopping.set()
            traffic.stop()
        _raise_failure(works)


def _raise_failure(works: list[Future[None]]) -> None:
    for work in works:
        if work.done():
            work.result()


def _wait_until_settled(records: Records, traffic: Traffic, patience_s: float) -> None:
    """Returns when every task has ended, its notice is out and the queue is empty, or when `patience_s` is over."""
    end = time.monotonic() + patience_s
    while (records.unsettled(traffic.accepted) or records.depth()) and time.monotonic() < end:
        time.sleep(_LOOK_S)


def _faults_met(jobs: Sequence[Job]) -> dict[str, list[str]]:
    """By task; a job that nobody waited for any more met its instance's fault, which is not the runtime's."""
    met: defaultdict[str, list[str]] = defaultdict(list)
    for job in jobs:
        if job.outcome not in ("answered", "abandoned"):
            met[job.task_id].append(job.outcome)
    return met
