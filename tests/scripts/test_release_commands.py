"""The commands that move fleets between releases, on groups that keep Auto Scaling's rules."""

from __future__ import annotations

import itertools
import json
from datetime import timedelta

import pytest
from click.testing import CliRunner, Result

from builders import NOON
from rollout_fleet import Group
from sdfleet.domain.instance_refresh import Observed
from sdfleet.domain.release import Release
from sdfleet.domain.trial import Runs
from sdfleet.errors import DeploymentRefused
from sdfleet.fleet_ports import FleetState
from sdfleet.memory.clock import FakeClock
from sdfleet.memory.release_store import MemoryReleaseStore
from sdfleet.memory.rollouts import MemoryRollouts
from sdfleet_cli.commands import releases as commands
from sdfleet_cli.main import main
from sdfleet_lambdas.rollouts import FleetRollouts


class PassingTime(Group):
    """A minute passes with every look."""

    is_alarmed = False

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(NOON)
        self.clock = clock

    def observed(self) -> Observed:
        self.tick(is_alarmed=self.is_alarmed)
        self.clock.advance(timedelta(minutes=1))
        return super().observed()


class Fleets:
    def __init__(self, *runtimes: str) -> None:
        self.by_name = {runtime: self._fleet(runtime) for runtime in runtimes}

    def _fleet(self, runtime: str) -> FleetRollouts:
        clock, releases, ids = FakeClock(NOON), MemoryReleaseStore(), itertools.count(1)
        releases.write(runtime, "image-version", "1.0.0")
        releases.write(runtime, "deployment-status", "stable")
        for version in ("1.0.0", "1.1.0"):
            record = Release(version, NOON, "ada", f"scheduler@sha256:{version}")
            releases.write(runtime, f"releases/{version}", json.dumps(record.to_json()))
        return FleetRollouts(
            runtime, MemoryRollouts(), PassingTime(clock), releases, clock, lambda: f"{runtime}-{next(ids)}"
        )

    def find(
        self, deployment_id: str, *, region: str | None, runtime: str | None
    ) -> tuple[str, tuple[FleetRollouts, ...]]:
        if runtime is not None and runtime not in self.by_name:
            raise DeploymentRefused(f"{deployment_id} has no runtime {runtime}; it has {', '.join(self.by_name)}.")
        return "arn:aws:iam::1:user/ada", (self.by_name[runtime],) if runtime else tuple(self.by_name.values())

    def group(self, runtime: str = "sd") -> PassingTime:
        group = self.by_name[runtime].group
        assert isinstance(group, PassingTime)
        return group

    def shown(self, runtime: str = "sd") -> tuple[str | None, str | None]:
        fleet = self.by_name[runtime]
        return fleet.current_version(), fleet.releases.read(runtime, "deployment-status")


@pytest.fixture
def fleets(monkeypatch: pytest.MonkeyPatch) -> Fleets:
    made = Fleets("sd", "comfy")
    monkeypatch.setattr(commands, "find_fleets", made.find)
    monkeypatch.setattr(commands, "POLL_S", 0.0)
    return made


def sdfleet(*arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(main, arguments, input=answer)


def test_a_new_version_is_accepted_and_goes_on_by_itself(fleets: Fleets) -> None:
    result = sdfleet("deploy-new-version", "local", "1.1.0", "--percentage", "20", "--runtime", "sd", "--yes")

    assert result.exit_code == 0, result.output
    assert "sd: 1.0.0 -> 1.1.0, 1 of 5 instances (20 %) first; bake 900 s" in result.output
    assert "look with scripts/check-deployment-status.sh local" in result.output
    assert fleets.shown() == ("1.0.0", "in-progress")
    assert fleets.shown("comfy") == ("1.0.0", "stable")


def test_waiting_shows_every_phase_and_the_true_shares(fleets: Fleets) -> None:
    result = sdfleet(
        "deploy-new-version", "local", "1.1.0", "--runtime", "sd", "--bake", "1m", "--yes", "--wait", "--why", "colours"
    )

    assert result.exit_code == 0, result.output
    for words in ("canary, 0 % replaced", "4 on 1.0.0, 1 on 1.1.0", "rolling, ", "baking, ", ": succeeded"):
        assert words in result.output
    assert fleets.shown() == ("1.1.0", "stable")


def test_a_rollout_that_turns_back_ends_the_waiting_with_a_failure(fleets: Fleets) -> None:
    fleets.group().is_alarmed = True
    result = sdfleet("deploy-new-version", "local", "1.1.0", "--runtime", "sd", "--yes", "--wait")

    assert result.exit_code == 1
    assert "Error: sd ended as rolled-back: alarm." in result.output
    assert fleets.shown() == ("1.0.0", "stable")


def test_every_fleet_is_moved_unless_one_is_named(fleets: Fleets) -> None:
    sdfleet("deploy-new-version", "local", "1.1.0", "--bake", "20s", "--yes", "--wait")

    assert (fleets.shown("sd"), fleets.shown("comfy")) == (("1.1.0", "stable"), ("1.1.0", "stable"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("deploy-new-version", "local", "9.9.9", "--yes"), "There is no release 9.9.9 of sd"),
        (("deploy-new-version", "local", "1.0.0", "--yes"), "sd runs 1.0.0 already"),
        (("deploy-new-version", "local", "1.1.0", "--runtime", "none", "--yes"), "no runtime none; it has sd, comfy"),
        (("promote", "local", "--yes"), "No fleet of local has a finished canary"),
        (("rollback", "local", "--yes"), "sd has had one version only"),
    ],
)
def test_what_the_state_does_not_allow_is_refused_with_status_3(
    fleets: Fleets, arguments: tuple[str, ...], words: str
) -> None:
    result = sdfleet(*arguments)

    assert (result.exit_code, words in result.output) == (3, True), result.output
    assert not fleets.group().asked


def test_a_second_rollout_is_refused_while_one_is_under_way(fleets: Fleets) -> None:
    sdfleet("deploy-new-version", "local", "1.1.0", "--runtime", "sd", "--yes")
    result = sdfleet("deploy-new-version", "local", "1.1.0", "--runtime", "sd", "--yes")

    assert result.exit_code == 3
    assert "is under way" in result.output


def test_a_dry_run_changes_nothing(fleets: Fleets) -> None:
    result = sdfleet("deploy-new-version", "local", "1.1.0", "--dry-run")

    assert result.exit_code == 0
    assert "1 of 5 instances" in result.output
    assert fleets.group().asked == []


def test_a_no_changes_nothing(fleets: Fleets) -> None:
    result = sdfleet("deploy-new-version", "local", "1.1.0", answer="n\n")

    assert result.exit_code == 2
    assert fleets.group().asked == []


@pytest.mark.parametrize("bake", ["soon", "-5s", "1d", ""])
def test_a_bake_that_is_no_duration_is_a_usage_error(fleets: Fleets, bake: str) -> None:
    result = sdfleet("deploy-new-version", "local", "1.1.0", "--bake", bake, "--yes")

    assert result.exit_code == 2
    assert "write 20s, 15m or 1h" in result.output


def test_a_rollback_in_the_middle_turns_the_rollout_back(fleets: Fleets) -> None:
    sdfleet("deploy-new-version", "local", "1.1.0", "--runtime", "sd", "--yes")
    result = sdfleet("rollback", "local", "--runtime", "sd", "--yes", "--wait", "--why", "wrong colours")

    assert result.exit_code == 0, result.output
    assert "the rollout to 1.1.0 is turned back to 1.0.0" in result.output
    assert "rolled-back" in result.output
    assert "wrong colours" in result.output
    assert fleets.shown() == ("1.0.0", "stable")


def test_a_rollback_after_the_end_returns_to_the_version_before(fleets: Fleets) -> None:
    sdfleet("deploy-new-version", "local", "1.1.0", "--runtime", "sd", "--bake", "0s", "--yes", "--wait")
    result = sdfleet("rollback", "local", "--runtime", "sd", "--yes", "--wait")

    assert result.exit_code == 0, result.output
    assert "sd: 1.1.0 -> 1.0.0, all 5 at once" in result.output
    assert fleets.shown() == ("1.0.0", "stable")
    assert fleets.by_name["sd"].previous_version() == "1.1.0"


def test_a_held_canary_waits_for_its_promotion(fleets: Fleets) -> None:
    sdfleet("deploy-new-version", "local", "1.1.0", "--runtime", "sd", "--hold", "--yes")
    for _ in range(3):
        status = sdfleet("check-deployment-status", "local", "--runtime", "sd")
    assert "held" in status.output
    assert "promote it with scripts/promote.sh" in status.output

    result = sdfleet("promote", "local", "--yes", "--wait")

    assert result.exit_code == 0, result.output
    assert fleets.shown() == ("1.1.0", "stable")


def test_the_status_for_programs_has_states_shares_and_history(fleets: Fleets) -> None:
    sdfleet("deploy-new-version", "local", "1.1.0", "--runtime", "sd", "--bake", "0s", "--yes", "--wait")
    result = sdfleet("check-deployment-status", "local", "--json")
    sd, comfy = json.loads(result.output)

    assert (sd["runtime"], sd["image_version"], sd["deployment_status"]) == ("sd", "1.1.0", "stable")
    assert sd["state"]["releases"] == {"1.1.0": 5}
    assert (sd["rollout"]["phase"], sd["rollout"]["wish"]["by"]) == ("succeeded", "arn:aws:iam::1:user/ada")
    assert sd["runs"].keys() == {"1.0.0", "1.1.0"}
    assert (comfy["rollout"], comfy["runs"]) == (None, None)


def test_the_status_tells_who_began_it_when_and_why(fleets: Fleets) -> None:
    sdfleet(
        "deploy-new-version", "local", "1.1.0", "--runtime", "sd", "--yes", "--wait", "--bake", "0s", "--why", "new"
    )
    sdfleet("rollback", "local", "--runtime", "sd", "--yes", "--why", "too slow")
    status = sdfleet("check-deployment-status", "local", "--runtime", "sd").output

    assert "begun 2026-11-02 12:" in status
    assert "UTC by ada: too slow" in status
    (before,) = [line for line in status.splitlines() if "1.0.0 -> 1.1.0" in line]
    assert ("ada" in before, before.split()[-1]) == (True, "new")


def test_the_history_of_a_rollout_that_was_turned_back_keeps_its_reason_beside_its_wish(fleets: Fleets) -> None:
    sdfleet("deploy-new-version", "local", "1.1.0", "--runtime", "sd", "--yes", "--why", "new")
    sdfleet("rollback", "local", "--runtime", "sd", "--yes", "--wait")
    sdfleet("deploy-new-version", "local", "1.1.0", "--runtime", "sd", "--yes")

    status = sdfleet("check-deployment-status", "local", "--runtime", "sd").output
    assert "new; rolled back by arn:aws:iam::1:user/ada" in status


def test_the_status_tells_what_is_left_of_the_last_bake(fleets: Fleets) -> None:
    sdfleet("deploy-new-version", "local", "1.1.0", "--runtime", "sd", "--percentage", "100", "--yes")
    outputs = [sdfleet("check-deployment-status", "local", "--runtime", "sd").output for _ in range(12)]

    assert any("of its bake left" in output for output in outputs)


@pytest.mark.parametrize(
    ("ringing", "words"),
    [
        ((), "no alarm rings"),
        (("local-sd-trial-failures", "local-sd-no-instance"), "ring: local-sd-trial-failures, local-sd-no-instance"),
    ],
)
def test_the_status_tells_which_alarms_ring(fleets: Fleets, ringing: tuple[str, ...], words: str) -> None:
    fleets.group().alarms = ringing

    assert words in sdfleet("check-deployment-status", "local", "--runtime", "sd").output


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        (
            {"1.0.0": Runs(95, 1), "1.1.0": Runs(14, 10)},
            "24 of 120 runs (20 %) on 1.1.0, 10 of them failed there (former release: 1 of 96)",
        ),
        ({"1.0.0": Runs(), "1.1.0": Runs()}, "no task was run since it began"),
    ],
)
def test_the_status_tells_how_much_of_the_work_the_new_release_had(
    fleets: Fleets, monkeypatch: pytest.MonkeyPatch, runs: dict[str, Runs], words: str
) -> None:
    sdfleet("deploy-new-version", "local", "1.1.0", "--runtime", "sd", "--yes")
    monkeypatch.setattr(fleets.group(), "runs", lambda *_, **__: runs)

    assert words in sdfleet("check-deployment-status", "local", "--runtime", "sd").output


def test_an_empty_fleet_is_told_to_have_no_canary(fleets: Fleets, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleets.group(), "state", lambda: FleetState(0, 0, 5, "3", {}))
    result = sdfleet("deploy-new-version", "local", "1.1.0", "--runtime", "sd", "--dry-run")

    assert "no instance runs, so there is no canary" in result.output


@pytest.mark.parametrize(
    ("capacity", "percentage", "words"),
    [
        (0, "20", "from 0 to 2 instances until it is over, 1 of 2 instances (50 %) first"),
        (1, "20", "from 1 to 2 instances until it is over, 1 of 2 instances (50 %) first"),
        (2, "20", "1 of 2 instances (50 %) first"),
        (1, "100", "from 1 to 2 instances until it is over, all 2 at once"),
    ],
)
def test_a_floor_gives_a_small_fleet_a_canary(
    fleets: Fleets, monkeypatch: pytest.MonkeyPatch, capacity: int, percentage: str, words: str
) -> None:
    monkeypatch.setattr(fleets.group(), "state", lambda: FleetState(capacity, 0, 5, "3", {}))
    result = sdfleet(
        "deploy-new-version", "local", "1.1.0", "--runtime", "sd", "--percentage", percentage, "--floor", "2",
        "--dry-run",
    )  # fmt: skip

    assert words in result.output


def test_a_floor_is_given_back_when_the_rollout_is_over(fleets: Fleets) -> None:
    sdfleet(
        "deploy-new-version", "local", "1.1.0", "--runtime", "sd", "--bake", "0s", "--floor", "3", "--yes", "--wait"
    )
    assert fleets.shown() == ("1.1.0", "stable")
    for _ in range(2):
        sdfleet("check-deployment-status", "local", "--runtime", "sd")

    assert fleets.group().minimum == 0


def test_a_floor_above_the_fleets_greatest_size_is_refused(fleets: Fleets) -> None:
    result = sdfleet("deploy-new-version", "local", "1.1.0", "--runtime", "sd", "--floor", "6", "--yes")

    assert result.exit_code == 3
    assert "above the greatest size" in result.output


def test_an_interrupted_wait_leaves_the_rollout_going_on(fleets: Fleets, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupted)
    result = sdfleet("deploy-new-version", "local", "1.1.0", "--runtime", "sd", "--yes", "--wait")

    assert result.exit_code == 130
    assert "The rollout goes on and is recorded" in result.output
    assert fleets.shown() == ("1.0.0", "in-progress")
