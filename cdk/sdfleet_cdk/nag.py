"""cdk-nag's AwsSolutions rules over the whole app, and what is acknowledged, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping

import aws_cdk as cdk
import cdk_nag
from constructs import IConstruct


def check_rules(app: cdk.App) -> None:
    """A finding that nobody has acknowledged fails the synthesis."""
    cdk.Validations.of(app).add_plugins(cdk_nag.AwsSolutionsChecks(app))


def acknowledge(construct: IConstruct, reasons: Mapping[str, str]) -> None:
    """`reasons` by rule, e.g. `APIG3`."""
    cdk.Validations.of(construct).acknowledge(
        *(cdk.Acknowledgment(id=f"AwsSolutions-{rule}", reason=reason) for rule, reason in reasons.items())
    )
