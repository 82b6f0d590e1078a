"""A scenario with everything that a bill and a report need: run it, under one policy or several."""

from __future__ import annotations

from dataclasses import dataclass, field

from sdfleet.config import Config, FleetConfig, RuntimeConfig
from sdfleet.config.fleet import VolumeConfig
from sdfleet.config.prices import PriceList, read_prices
from sdfleet.domain.task import RuntimeType
from sdfleet_sim.arrivals import Trace
from sdfleet_sim.assumptions import Assumptions
from sdfleet_sim.billing import bill
from sdfleet_sim.cases import Volume
from sdfleet_sim.outcome import Outcome, outcome, waits_of
from sdfleet_sim.run import market_of, run
from sdfleet_sim.scenario import Scenario
from sdfleet_sim.spot_traces import SpotTrace


def standard_config(volume: Volume | None = None) -> Config:
    """The configuration that is billed, where none is named: one WebUI fleet, as the guidance's, with the defaults."""
    set_to = volume or Volume()
    fleet = FleetConfig(
        volume=VolumeConfig(
            size_gib=set_to.size_gib, throughput=set_to.throughput, initialization_rate=set_to.initialization_rate
        )
    )
    model = "v1-5-pruned-emaonly.safetensors"
    runtime = RuntimeConfig(name="images", type=RuntimeType.SDWEBUI, model_filename=model, fleet=fleet)
    return Config(runtimes=(runtime,))


@dataclass(frozen=True)
class Experiment:
    scenario: Scenario
    trace: Trace
    assumed: Assumptions = field(default_factory=Assumptions.read)
    prices: PriceList = field(default_factory=read_prices)
    config: Config = field(default_factory=standard_config)
    #: Recorded Spot availability instead of the generated.
    recorded: tuple[SpotTrace, ...] = ()
    #: Hours for which the standing costs are counted; None: as long as the run takes.
    fixed_hours: float | None = None

    def under(self, policy: str) -> Outcome:
        """The same tasks, boots and Spot market for every policy."""
        zones = market_of(self.scenario, self.trace, self.assumed, self.recorded)
        ledger = run(self.scenario, policy, self.trace, self.assumed, zones)
        due = bill(
            ledger.lived,
            images=max(1, ledger.done),
            fleet_hours=ledger.fleet_s() / 3600,
            fixed_hours=ledger.ended_at / 3600 if self.fixed_hours is None else self.fixed_hours,
            config=self.config,
            prices=self.prices,
        )
        return outcome(policy, self.scenario, self.trace, ledger, due, boot_s=self.assumed.boot.typical_s)

    def waits_under(self, policy: str) -> list[float]:
        """Seconds that each task waited."""
        zones = market_of(self.scenario, self.trace, self.assumed, self.recorded)
        return waits_of(self.trace, run(self.scenario, policy, self.trace, self.assumed, zones))
