"""What the process of the handlers is told beside its deployment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from sdfleet_local.provisioning import QueueAddress

_VARIABLE = "SDFLEET_LOCAL_FUNCTIONS"


@dataclass(frozen=True)
class FunctionSettings:
    port: int
    api_key: str = field(repr=False)
    rate: float
    burst: int
    submissions: QueueAddress
    callbacks: QueueAddress
    rollout_events: QueueAddress
    wakes: QueueAddress
    #: Of the fast scaler's schedule; None: no fleet has it.
    scaler_every_s: float | None = None

    def to_env(self) -> dict[str, str]:
        return {_VARIABLE: json.dumps(asdict(self))}

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> FunctionSettings:
        fields = json.loads(environ[_VARIABLE])
        return cls(
            **{
                **fields,
                "submissions": QueueAddress(**fields["submissions"]),
                "callbacks": QueueAddress(**fields["callbacks"]),
                "rollout_events": QueueAddress(**fields["rollout_events"]),
                "wakes": QueueAddress(**fields["wakes"]),
            }
        )
