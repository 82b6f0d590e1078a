"""What `sdfleet local watch` looks at: the local deployment's queues, groups, instances and scaler."""

from __future__ import annotations

from typing import Any

import httpx

from sdfleet.aws.clients import Clients
from sdfleet.aws.scaled_group import AutoScalingScaledGroup
from sdfleet.aws.scaler_table import DynamoScalerStore
from sdfleet.aws.task_queue import SqsTaskQueue
from sdfleet.domain import names
from sdfleet_cli.console import local_deployment
from sdfleet_local.plan import DEPLOYMENT_ID, REGION
from sdfleet_local.scaling_view import FleetView, InstanceView

#: An instance on this machine answers at once, or is too busy to be asked.
_PATIENCE_S = 0.5
_QUEUE_OUTPUT = "QueueUrl"


class FleetWatch:
    def __init__(self) -> None:
        deployment = local_deployment()
        outputs = deployment.outputs()
        self._control = deployment.control()
        self._clients = Clients(region=REGION, endpoint_url=outputs["AwsEndpointUrl"], has_credentials=False)
        self._store = DynamoScalerStore(self._clients.dynamodb, names.table_name(DEPLOYMENT_ID))
        urls = [value for name, value in outputs.items() if name.endswith(_QUEUE_OUTPUT)]
        #: By the runtime's name: a fleet's queue has its group's.
        self._queues = {url.rsplit("/", 1)[-1].removeprefix(f"{DEPLOYMENT_ID}-"): url for url in urls}
        self._http = httpx.Client(timeout=_PATIENCE_S, trust_env=False)

    def fleets(self) -> list[FleetView]:
        instances = self._control.instances()
        return [self._fleet(runtime, url, instances) for runtime, url in self._queues.items()]

    def _fleet(self, runtime: str, queue_url: str, instances: list[dict[str, Any]]) -> FleetView:
        name = names.fleet_name(DEPLOYMENT_ID, runtime)
        state = AutoScalingScaledGroup(self._clients.autoscaling, name).look()
        return FleetView(
            runtime=runtime,
            counts=SqsTaskQueue(self._clients.sqs, queue_url).counts(),
            desired=state.desired,
            least=state.limits.least,
            greatest=state.limits.greatest,
            instances=tuple(self._instance(one) for one in instances if one["runtime"] == runtime),
            record=self._store.load(runtime),
        )

    def _instance(self, fields: dict[str, Any]) -> InstanceView:
        try:
            tasks: int | None = len(self._http.get(f"{fields['url']}/v1/status").json()["tasks"])
        except (httpx.HTTPError, ValueError, KeyError):
            tasks = None
        return InstanceView(fields["instance_id"], fields["state"], fields["release"], tasks)
