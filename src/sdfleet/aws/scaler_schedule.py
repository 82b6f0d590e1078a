"""The fast scaler's rule: a minute is EventBridge's least period, so the function stays for one and looks by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdfleet.aws.error_mapping import translated

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient


class EventBridgeSchedule:
    def __init__(self, client: EventBridgeClient, rule_name: str) -> None:
        self._client = client
        self._rule_name = rule_name

    def switch_on(self) -> None:
        with translated():
            self._client.enable_rule(Name=self._rule_name)

    def switch_off(self) -> None:
        with translated():
            self._client.disable_rule(Name=self._rule_name)

    @property
    def is_on(self) -> bool:
        with translated():
            return self._client.describe_rule(Name=self._rule_name)["State"] == "ENABLED"
