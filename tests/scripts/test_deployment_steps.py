"""How the steps of a deployment are run: shown, skipped, failed and gone on with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sdfleet.aws.account import Account
from sdfleet.aws.clients import Clients
from sdfleet.errors import DeploymentError, DeploymentRefused
from sdfleet_cli.deployment.journal import Journal
from sdfleet_cli.deployment.runner import run_steps
from sdfleet_cli.deployment.session import Session

AGAIN = "./deploy.sh art"


@dataclass
class OneStep:
    name: str
    wishes: dict[str, object] = field(default_factory=dict)
    is_there: bool = True
    failures: list[BaseException] = field(default_factory=list)
    runs: int = 0

    @property
    def title(self) -> str:
        return f"Title of {self.name}"

    def inputs(self, session: Session) -> Mapping[str, object]:
        return self.wishes

    def holds(self, session: Session) -> bool:
        return self.is_there

    def run(self, session: Session) -> Mapping[str, str]:
        self.runs += 1
        if self.failures:
            raise self.failures.pop(0)
        return {"made": self.name}


def a_session(root: Path, *, region: str = "us-east-1") -> Session:
    journal = Journal(root, "art")
    journal.enter_place(account_id="123456789012", region=region)
    account = Account("123456789012", region, "aws", "arn:aws:iam::123456789012:user/me")
    return Session(root, "art", root / "config.yaml", account, Clients(region=region), journal)


def go(steps: list[OneStep], session: Session, *redo: str) -> None:
    run_steps(steps, session, redo=frozenset(redo), again=AGAIN)


def test_what_is_done_and_still_true_is_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps = [OneStep("first"), OneStep("second")]
    go(steps, a_session(tmp_path))
    go(steps, a_session(tmp_path))
    assert [step.runs for step in steps] == [1, 1]
    assert "[2/2] Title of second: done already, nothing has changed" in capsys.readouterr().out


def test_changed_inputs_do_it_again(tmp_path: Path) -> None:
    step = OneStep("first", {"size": 1})
    go([step], a_session(tmp_path))
    step.wishes = {"size": 2}
    go([step], a_session(tmp_path))
    assert step.runs == 2


def test_what_is_gone_from_the_account_is_done_again(tmp_path: Path) -> None:
    step = OneStep("first")
    go([step], a_session(tmp_path))
    step.is_there = False
    go([step], a_session(tmp_path))
    assert step.runs == 2


def test_a_step_is_done_again_on_request(tmp_path: Path) -> None:
    steps = [OneStep("first"), OneStep("second")]
    go(steps, a_session(tmp_path))
    go(steps, a_session(tmp_path), "second")
    assert [step.runs for step in steps] == [1, 2]


def test_what_was_done_elsewhere_counts_for_nothing(tmp_path: Path) -> None:
    step = OneStep("first")
    go([step], a_session(tmp_path))
    go([step], a_session(tmp_path, region="us-west-2"))
    assert step.runs == 2


def test_a_failure_names_the_step_and_the_command_that_goes_on(tmp_path: Path) -> None:
    steps = [OneStep("first"), OneStep("second", failures=[DeploymentError("There is no bucket.")])]
    with pytest.raises(DeploymentError) as failure:
        go(steps, a_session(tmp_path))
    assert str(failure.value).splitlines() == [
        "There is no bucket.",
        f"Step 2 of 2 (second) failed; what is finished stays. Go on from it with: {AGAIN}",
    ]


def test_a_refusal_stays_one(tmp_path: Path) -> None:
    with pytest.raises(DeploymentRefused):
        go([OneStep("first", failures=[DeploymentRefused("No quota.")])], a_session(tmp_path))


def test_every_step_may_fail_once_and_what_is_finished_is_not_done_twice(tmp_path: Path) -> None:
    steps = [OneStep(name, failures=[DeploymentError("Once.")]) for name in ("first", "second", "third")]
    for _ in steps:
        with pytest.raises(DeploymentError):
            go(steps, a_session(tmp_path))
    go(steps, a_session(tmp_path))
    assert [step.runs for step in steps] == [2, 2, 2]


def test_an_interruption_says_how_to_go_on_and_the_next_run_does(tmp_path: Path) -> None:
    steps = [OneStep("first"), OneStep("second", failures=[KeyboardInterrupt()])]
    with pytest.raises(DeploymentError, match=r"Interrupted in step 2 of 2 \(second\)"):
        go(steps, a_session(tmp_path))
    go(steps, a_session(tmp_path))
    assert [step.runs for step in steps] == [1, 2]


def test_a_step_that_failed_after_an_earlier_success_is_not_taken_for_done(tmp_path: Path) -> None:
    step = OneStep("first")
    go([step], a_session(tmp_path))
    step.failures = [DeploymentError("Half way.")]
    with pytest.raises(DeploymentError):
        go([step], a_session(tmp_path), "first")
    go([step], a_session(tmp_path))
    assert step.runs == 3


def test_two_commands_do_not_work_on_one_deployment(tmp_path: Path) -> None:
    with (
        Journal(tmp_path, "art").exclusively(),
        pytest.raises(DeploymentRefused, match="Another command"),
        Journal(tmp_path, "art").exclusively(),
    ):
        pass


def test_half_a_journal_is_none(tmp_path: Path) -> None:
    step = OneStep("first")
    session = a_session(tmp_path)
    go([step], session)
    (session.journal.path / "steps.json").write_text('{"first": {"inp')
    go([step], a_session(tmp_path))
    assert step.runs == 2
