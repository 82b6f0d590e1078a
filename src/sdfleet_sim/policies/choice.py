"""The policies by the names that the command line gives them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sdfleet.errors import ConfigError
from sdfleet_sim.fleet import Fleet
from sdfleet_sim.policies.alarms import StepPolicies
from sdfleet_sim.policies.base import Policy
from sdfleet_sim.policies.fast import FastScaler
from sdfleet_sim.policies.fixed import FixedFleet
from sdfleet_sim.policies.gpu import GpuUtilisation
from sdfleet_sim.policies.keda import Keda


@dataclass(frozen=True)
class Choice:
    meaning: str
    #: Its parts; all of them act on the fleet.
    build: Callable[[Fleet], tuple[Policy, ...]]


POLICIES = {
    "fast": Choice(
        "ours: the fast scaler, and the step policies below it",
        lambda fleet: (FastScaler(fleet), StepPolicies(fleet)),
    ),
    "fast-alone": Choice("the fast scaler without the step policies", lambda fleet: (FastScaler(fleet),)),
    "step": Choice("the step policies alone, on CloudWatch's minutes", lambda fleet: (StepPolicies(fleet),)),
    "keda-30s": Choice(
        "KEDA as the EKS guidance sets it up, polling every 30 s", lambda fleet: (Keda(fleet, polling_s=30.0),)
    ),
    "keda-1s": Choice("the same, polling every second", lambda fleet: (Keda(fleet, polling_s=1.0),)),
    "gpu": Choice("target tracking of the GPU utilisation, wake and scale-in by the queue",
                  lambda fleet: (GpuUtilisation(fleet),)),
    "fixed": Choice("a fixed number of instances", lambda fleet: (FixedFleet(fleet),)),
}  # fmt: skip


def build(name: str, fleet: Fleet) -> tuple[Policy, ...]:
    """Raises:
    ConfigError: there is no such policy.
    """
    if name not in POLICIES:
        raise ConfigError(f"There is no policy {name}; there are {', '.join(POLICIES)}.")
    return POLICIES[name].build(fleet)
