"""The last step: the service has drawn a picture, or the deployment is not done."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from sdfleet.aws.clients import Clients
from sdfleet.aws.fleet_groups import FleetGroups
from sdfleet.domain import names
from sdfleet.errors import DeploymentError
from sdfleet_cli.deployment.sample_requests import first_task
from sdfleet_cli.deployment.service_client import ServiceClient, api_key_of
from sdfleet_cli.deployment.session import Session
from sdfleet_cli.deployment.topic_client import TopicClient

#: A cold fleet on the stock AMI: capacity, boot, two images of several GB, the model, the picture; doubled.
PATIENCE = timedelta(minutes=40)
_REPORT_EVERY_S = 15.0


class FirstPicture:
    name = "picture"
    title = "First picture"

    def inputs(self, session: Session) -> Mapping[str, object]:
        return {"service": session.journal.read_outputs(), "is_wanted": session.options.wants_picture}

    def holds(self, session: Session) -> bool:
        outputs = session.journal.read_outputs()
        return outputs is not None and client_of(outputs, session.clients, session.deployment_id).is_healthy()

    def run(self, session: Session) -> Mapping[str, str]:
        """Raises:
        DeploymentError: no picture came.
        """
        if not session.options.wants_picture:
            session.note("not asked for (--no-picture); scripts/verify-deployment.sh asks for one of each kind")
            return {}
        outputs = session.journal.read_outputs()
        if outputs is None:
            raise DeploymentError(
                "The service's outputs are not known; run the step service again with --redo service."
            )
        runtime = session.config.runtimes[0]
        session.note(f"{runtime.name} is asked for a picture; a sleeping fleet starts an instance first")
        service = client_of(outputs, session.clients, session.deployment_id)
        waiting = GroupWatcher(session, names.fleet_name(session.deployment_id, runtime.name))
        task_id = service.submit(first_task(runtime.name, runtime.type))
        outcome = service.outcome(task_id, patience=PATIENCE, on_wait=waiting)
        if not outcome.is_success:
            raise DeploymentError(f"The service has taken the task, and it has {outcome.status}: {outcome.error}.")
        session.note(f"here it is: {next(iter(outcome.links or outcome.locations), '')}")
        # A link is a credential: where the picture lies is enough to keep.
        return {"location": next(iter(outcome.locations), "")}


def client_of(outputs: Mapping[str, str], clients: Clients, deployment_id: str) -> ServiceClient | TopicClient:
    """Raises:
    DeploymentError: the API's key cannot be read.
    """
    if endpoint := outputs.get("FrontApiEndpoint"):
        return ServiceClient(endpoint, api_key_of(outputs, clients))
    return TopicClient(clients, outputs["sdNotificationLambdaARN"], names.table_name(deployment_id))


class GroupWatcher:
    """Says now and then what the task and its group do."""

    def __init__(self, session: Session, group: str) -> None:
        self._session = session
        self._groups = FleetGroups(session.clients.autoscaling)
        self._group = group
        self._last = 0.0

    def __call__(self, status: str, waited_s: float) -> None:
        if waited_s - self._last < _REPORT_EVERY_S:
            return
        self._last = waited_s
        group = self._groups.find(self._group)
        states = ", ".join(f"{count} {state}" for state, count in group.states.items()) if group else ""
        self._session.note(f"{waited_s:4.0f} s  task {status}; instances: {states or 'none yet'}")
