"""The rehearsal from its first scene to its account."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sdfleet_cli.rehearsal.account import Touched, close_account
from sdfleet_cli.rehearsal.play import Play
from sdfleet_cli.rehearsal.scenes import SCENES
from sdfleet_cli.rehearsal.stage import Stage, open_stage
from sdfleet_local.chaos.accounting import Account


@dataclass(frozen=True)
class SceneReport:
    name: str
    notes: tuple[str, ...]
    #: What was not as it should be.
    wrong: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    scenes: tuple[SceneReport, ...]
    account: Account
    touched: Touched
    #: Tasks that the service did not take within a minute.
    refused: tuple[str, ...]

    @property
    def is_clean(self) -> bool:
        is_played_well = not any(scene.wrong for scene in self.scenes)
        return is_played_well and self.account.is_clean and not self.refused and not self.touched.spent

    def to_text(self) -> str:
        lines = []
        for scene in self.scenes:
            lines.append(f"{scene.name}: {'WRONG' if scene.wrong else 'as it should be'}")
            lines += [f"  {note}" for note in scene.notes]
            lines += [f"  WRONG: {what}" for what in scene.wrong]
        account, touched = self.account, self.touched
        findings = [*account.lost, *account.duplicated, *account.unexpected]
        lines.append(
            f"tasks: {account.accepted} accepted, {account.succeeded} succeeded, "
            f"{len(account.lost)} lost, {len(account.duplicated)} doubled, {sum(account.failed.values())} failed, "
            f"{len(self.refused)} refused; notices doubled: {account.doubled_notices}"
        )
        lines.append(
            f"touched by a broken release: {touched.tasks}, at most {touched.most_losses} times; "
            f"attempts spent on it: {touched.spent}"
        )
        lines += [f"  {one.task_id}: {one.what}" for one in findings[:20]]
        lines += [f"  refused: {one}" for one in self.refused[:20]]
        return "\n".join(lines)


def rehearse(
    checkout: Path,
    scenes: Sequence[str],
    *,
    instances: int,
    per_second: float,
    bake: timedelta,
    on_step: Callable[[str], None],
) -> Outcome:
    """Raises:
    LocalModeError: the deployment did not start.
    """
    on_step(f"starting {instances} instances")
    with open_stage(checkout, instances=instances, per_second=per_second) as stage:
        reports = play_all(stage, scenes, bake=bake, on_step=on_step)
        on_step("counting")
        account, touched = close_account(stage)
        return Outcome(reports, account, touched, tuple(stage.load.refused))


def play_all(
    stage: Stage, scenes: Sequence[str], *, bake: timedelta, on_step: Callable[[str], None]
) -> tuple[SceneReport, ...]:
    reports = []
    for name in scenes:
        on_step(name)
        play = Play(stage, name, bake)
        SCENES[name](play)
        for line in (*play.notes, *(f"WRONG: {what}" for what in play.wrong)):
            on_step(f"  {line}")
        reports.append(SceneReport(name, tuple(play.notes), tuple(play.wrong)))
    return tuple(reports)
