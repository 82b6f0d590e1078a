"""`sdfleet simulate`: a fleet on paper, under one scaling policy or several."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import click

from sdfleet.config import load_for
from sdfleet.config.prices import SHIPPED as SHIPPED_PRICES
from sdfleet.config.prices import read_prices
from sdfleet.domain.scaling import Limits
from sdfleet.errors import ConfigError
from sdfleet_cli.commands.simulate_million import million
from sdfleet_cli.commands.simulate_study import study
from sdfleet_cli.commands.simulate_traces import traces
from sdfleet_cli.commands.simulate_validate import validate
from sdfleet_cli.console import HELP_NAMES, plain_errors, table
from sdfleet_sim import arrivals
from sdfleet_sim.arrivals import Trace
from sdfleet_sim.assumptions import SHIPPED, Assumptions
from sdfleet_sim.cases import CASES, SHAPES
from sdfleet_sim.experiment import Experiment, standard_config
from sdfleet_sim.outcome import Outcome, as_document
from sdfleet_sim.plots import plots
from sdfleet_sim.policies.choice import POLICIES
from sdfleet_sim.report import SUMMARY_HEAD, html_report, summary_rows
from sdfleet_sim.scenario import FleetPlan, RolloutPlan, Scenario
from sdfleet_sim.sensitivity import sensitivity
from sdfleet_sim.spot_traces import load_traces

_FILE = click.Path(path_type=Path)
#: A sensitivity table runs the scenario some eighty times.
_SENSITIVITY_TASKS = 50_000
_EXAMPLES = """
\b
Examples:
  sdfleet simulate --trace burst --policy fast --seed 1 --out DIR
  sdfleet simulate --trace burst --compare --max 20
  sdfleet simulate --trace constant --rate 5 --hours 2 --on-demand-base 1
  sdfleet simulate --trace daily --rate 40 --policy fast --rollout-at 12h
  sdfleet simulate --trace arrivals.csv --runtime video --spot-traces DIR
  sdfleet simulate traces DIR
  sdfleet simulate study --case quiet
  sdfleet simulate validate --policy fixed
"""


@dataclass(frozen=True)
class Load:
    """How the tasks come: a case's name, a shape with numbers, or a file."""

    trace: str
    rate: float
    hours: float
    count: int | None

    def build(self, seed: int) -> Trace:
        shapes: dict[str, Callable[[], Trace]] = {
            "constant": lambda: arrivals.constant(self.rate, self.hours * 3600, seed),
            "evenly": lambda: arrivals.evenly(self.rate, self.hours * 3600),
            "daily": lambda: arrivals.daily(self.rate, seed, days=self.hours / 24),
        }
        if self.trace in shapes:
            return shapes[self.trace]()
        if self.trace == "burst" and self.count is not None:
            return arrivals.burst(self.count, 10, seed)
        if self.trace in CASES:
            return CASES[self.trace].trace(seed)
        if not self.trace.endswith(".csv"):
            raise ConfigError(
                f"There is no trace {self.trace}; there are {', '.join([*CASES, *SHAPES])}, or name a file that ends in"
                " .csv."
            )
        return arrivals.from_csv(Path(self.trace))

    @property
    def meaning(self) -> str:
        return CASES[self.trace].meaning if self.trace in CASES and self.count is None else f"trace {self.trace}"


def _seconds(_context: click.Context, _parameter: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    units = {"s": 1, "m": 60, "h": 3600}
    number, unit = (value[:-1], value[-1]) if value[-1:] in units else (value, "s")
    try:
        seconds = float(number) * units[unit]
    except ValueError as error:
        raise click.BadParameter("give a time such as 90s, 30m or 12h") from error
    if not 0 <= seconds < float("inf"):
        raise click.BadParameter("give a time of 0 or more")
    return seconds


@click.group(invoke_without_command=True, context_settings=HELP_NAMES, epilog=_EXAMPLES)
@click.option(
    "--trace",
    default="burst",
    show_default=True,
    help=f"{', '.join(CASES)}; {', '.join(SHAPES)}; or a CSV file of seconds, and counts.",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    help="Tasks a second of constant and evenly; the day's peak of daily.",
)
@click.option(
    "--hours", type=click.FloatRange(min=0, min_open=True, max=24 * 31), help="How long.  [default: 8, daily 24]"
)
@click.option("--count", type=click.IntRange(min=1, max=5_000_000), help="Tasks of burst.  [default: 10,000]")
@click.option(
    "--policy",
    "policies",
    multiple=True,
    type=click.Choice(list(POLICIES)),
    help="Who decides about capacity; may be given more than once.  [default: fast]",
)
@click.option("--compare", is_flag=True, help="fast, step, keda-30s, keda-1s, gpu and fixed side by side.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same result.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Write result.json, plots and report.html here."
)
@click.option(
    "--runtime", default="sdwebui", show_default=True, help="Whose tasks: a name under tasks in the assumptions."
)
@click.option(
    "--instance-type",
    "instance_types",
    multiple=True,
    default=("g5.2xlarge",),
    show_default=True,
    help="May be given more than once.",
)
@click.option("--market", default="us-west-2", show_default=True, help="Where Spot is bought: a name under markets.")
@click.option(
    "--min", "least", type=click.IntRange(min=0, max=5000), help="Instances at least.  [default: the case's, else 0]"
)
@click.option(
    "--max", "greatest", type=click.IntRange(min=1, max=5000), help="At most.  [default: the case's, else 50]"
)
@click.option(
    "--fixed",
    type=click.IntRange(min=1, max=5000),
    help="Instances of policy fixed.  [default: the case's, else --max]",
)
@click.option("--on-demand-base", type=click.IntRange(min=0), default=0, show_default=True, help="The first so many.")
@click.option(
    "--on-demand-percentage", type=click.IntRange(0, 100), default=0, show_default=True, help="Of those above."
)
@click.option(
    "--fallback-after", callback=_seconds, default="5m", show_default=True, help="Without Spot: On-Demand. 0: never."
)
@click.option("--rollout-at", callback=_seconds, help="Begin a rollout with a canary then, such as 30m.")
@click.option("--spot-traces", type=_FILE, help="Recorded availability-*.json in this folder, in place of --market.")
@click.option(
    "--assumptions", "assumptions_file", type=_FILE, default=SHIPPED, show_default="the shipped file", help="Your own."
)
@click.option(
    "--prices", "prices_file", type=_FILE, default=SHIPPED_PRICES, show_default="the shipped list", help="Your own."
)
@click.option("--config", "config_file", type=_FILE, help="The configuration that is billed.  [default: the case's]")
@click.option(
    "--sensitivity/--no-sensitivity",
    default=None,
    help=f"Each assumption off by a third, in the report.  [default: up to {_SENSITIVITY_TASKS:,} tasks]",
)
@click.option("--json", "is_json", is_flag=True, help="Print the result as JSON.")
@click.pass_context
def simulate(
    context: click.Context,
    trace: str,
    rate: float,
    hours: float | None,
    count: int | None,
    policies: tuple[str, ...],
    compare: bool,
    seed: int,
    out: Path | None,
    runtime: str,
    instance_types: tuple[str, ...],
    market: str,
    least: int | None,
    greatest: int | None,
    fixed: int | None,
    on_demand_base: int,
    on_demand_percentage: int,
    fallback_after: float,
    rollout_at: float | None,
    spot_traces: Path | None,
    assumptions_file: Path,
    prices_file: Path,
    config_file: Path | None,
    sensitivity: bool | None,
    is_json: bool,
) -> None:
    """A fleet on paper: how long tasks wait, what is lost and what it costs, under a scaling policy.

    Discrete events on the same arithmetic that the deployed scalers run. Everything that is taken for granted stands
    with its source in one file (--assumptions); docs/scaling.md has the study that was made with it.
    """
    if context.invoked_subcommand is not None:
        return
    with plain_errors():
        load = Load(trace, rate, (24.0 if trace == "daily" else 8.0) if hours is None else hours, count)
        assumed = Assumptions.read(assumptions_file)
        for name, known in ((runtime, assumed.tasks), (market, assumed.markets)):
            if name not in known:
                raise ConfigError(f"The assumptions know no {name}; they have {', '.join(known)}.")
        for name in instance_types:
            if name not in assumed.machines:
                raise ConfigError(f"The assumptions know no {name}; they have {', '.join(assumed.machines)}.")
        case = CASES.get(trace)
        limits = Limits(
            least if least is not None else case.limits.least if case else 0,
            greatest if greatest is not None else case.limits.greatest if case else 50,
        )
        plan = replace(
            case.plan() if case else FleetPlan(),
            instance_types=instance_types,
            limits=limits,
            initial=limits.least,
            on_demand_base=on_demand_base,
            on_demand_percentage=on_demand_percentage,
            fallback_after=timedelta(seconds=fallback_after) if fallback_after else None,
        )
        experiment = Experiment(
            Scenario(runtime=runtime, market=market, fleet=plan, seed=seed,
                     rollout=None if rollout_at is None else RolloutPlan(rollout_at)),
            load.build(seed),
            assumed,
            read_prices(prices_file),
            standard_config(case.volume if case else None) if config_file is None else load_for(config_file, None),
            load_traces(spot_traces) if spot_traces else (),
        )  # fmt: skip
        names = [name for name in POLICIES if name != "fast-alone"] if compare else list(policies or ("fast",))
        size = fixed or (case.fixed if case and greatest is None else limits.greatest)
        outcomes = [_with_fixed(experiment, size).under(name) if name == "fixed" else experiment.under(name)
                    for name in names]  # fmt: skip
        if out is not None:
            is_wanted = sensitivity if sensitivity is not None else len(experiment.trace) <= _SENSITIVITY_TASKS
            _write(out, outcomes, experiment, load, assumptions_file, is_sensitivity_wanted=is_wanted)
    if is_json:
        click.echo(json.dumps([as_document(one) for one in outcomes], indent=2, sort_keys=True))
        return
    click.echo(f"{load.meaning}, {len(experiment.trace):,} tasks, seed {seed}:\n")
    click.echo(table([SUMMARY_HEAD, *summary_rows(outcomes)]))
    for one in outcomes:
        if one.done < one.tasks:
            click.echo(f"\n{one.policy}: {one.tasks - one.done:,} tasks were never done within three days.")
    if out is not None:
        click.echo(f"\n{out / 'report.html'} has the plots and what the result depends on.")


def _with_fixed(experiment: Experiment, size: int) -> Experiment:
    plan = experiment.scenario.fleet
    limits = Limits(0, max(size, plan.limits.greatest))
    return replace(experiment, scenario=replace(experiment.scenario, fleet=replace(plan, initial=size, limits=limits)))


def _command() -> str:
    """As it was given, without where the result goes: that is this machine's own business."""
    words = list(sys.argv[1:])
    if "--out" in words:
        at = words.index("--out")
        del words[at : at + 2]
    return shlex.join(["sdfleet", *(word for word in words if not word.startswith("--out="))])


def _write(
    out: Path,
    outcomes: list[Outcome],
    experiment: Experiment,
    load: Load,
    assumptions_file: Path,
    *,
    is_sensitivity_wanted: bool,
) -> None:
    first = outcomes[0].policy
    base, moves = sensitivity(experiment, first, assumptions_file) if is_sensitivity_wanted else (None, ())
    try:
        out.mkdir(parents=True, exist_ok=True)
        document = [as_document(one) for one in outcomes]
        (out / "result.json").write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        for name, drawn in plots(outcomes).items():
            (out / f"{name}.svg").write_text(drawn + "\n", encoding="utf-8")
        report = html_report(
            outcomes,
            command=_command(),
            meaning=load.meaning,
            base=base,
            moves=moves,
            figures=experiment.assumed.figures,
        )
        (out / "report.html").write_text(report, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{out}: the report cannot be written: {error.strerror}.") from error


simulate.add_command(million)
simulate.add_command(study)
simulate.add_command(traces)
simulate.add_command(validate)
