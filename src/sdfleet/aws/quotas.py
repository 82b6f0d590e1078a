"""Service quotas that decide whether a deployment can run at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from sdfleet.aws.clients import Clients


@dataclass(frozen=True)
class Quota:
    service: str
    #: As the Service Quotas console shows it, the same in every account and region.
    code: str
    name: str


#: In vCPUs; both are 0 in many young accounts (EC2 User Guide, On-Demand Instance quotas, Spot Instance quotas).
ON_DEMAND_GPU = Quota("ec2", "L-DB2E81BA", "Running On-Demand G and VT instances")
SPOT_GPU = Quota("ec2", "L-3819A6DF", "All G and VT Spot Instance Requests")
#: VPC User Guide, Amazon VPC quotas; 5 by default.
VPCS = Quota("vpc", "L-F678F1CE", "VPCs per Region")


def quota_value(clients: Clients, quota: Quota) -> float | None:
    """The account's value, or AWS's default; None where it cannot be read (no right, not in this region)."""
    try:
        return clients.service_quotas.get_service_quota(ServiceCode=quota.service, QuotaCode=quota.code)["Quota"][
            "Value"
        ]
    except ClientError:
        return _default_value(clients, quota)
    except (BotoCoreError, KeyError):
        return None


def lambda_concurrency(clients: Clients) -> int | None:
    """How many invocations may run at once in the account and region; None where it cannot be read."""
    try:
        return clients.lambda_.get_account_settings()["AccountLimit"]["ConcurrentExecutions"]
    except (ClientError, BotoCoreError, KeyError):
        return None


def _default_value(clients: Clients, quota: Quota) -> float | None:
    """Of a quota that was never changed in this account, some regions know the default only."""
    try:
        answer = clients.service_quotas.get_aws_default_service_quota(ServiceCode=quota.service, QuotaCode=quota.code)
        return answer["Quota"]["Value"]
    except (ClientError, BotoCoreError, KeyError):
        return None
