"""Whose account and which region a deployment is in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sdfleet.aws.operator_errors import explained
from sdfleet.errors import DeploymentError

if TYPE_CHECKING:
    from sdfleet.aws.clients import Clients


@dataclass(frozen=True)
class Account:
    account_id: str
    region: str
    #: The second part of every ARN: `aws`, `aws-cn`.
    partition: str
    #: Who deploys.
    caller_arn: str

    @property
    def is_china(self) -> bool:
        return self.partition == "aws-cn"

    @property
    def registry(self) -> str:
        """Host name of the account's ECR registry."""
        return f"{self.account_id}.dkr.ecr.{self.region}.amazonaws.com{'.cn' if self.is_china else ''}"


def identify(clients: Clients) -> Account:
    """Raises:
    DeploymentError: no region, no credentials, or credentials that do not work.
    """
    region = clients.region
    if region is None:
        raise DeploymentError("No region is named; add -R REGION, or set AWS_REGION.")
    with explained():
        identity = clients.sts.get_caller_identity()
    arn = identity["Arn"]
    return Account(identity["Account"], region, arn.split(":")[1], arn)
