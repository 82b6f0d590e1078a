"""One scene's commands and looks, and what is expected of every rollout."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import timedelta

from sdfleet.domain.rollout import Phase, Rollout
from sdfleet_cli.rehearsal.stage import ROLLOUT_TIMEOUT_S, Stage

#: What the recorder may take to have it right: on this machine.
MOST_LAG_S = 30.0
OVER = {Phase.SUCCEEDED, Phase.ROLLED_BACK, Phase.FAILED}


@dataclass
class Play:
    """One scene as it goes on: what is noted, and what was not as it should be."""

    stage: Stage
    name: str
    bake: timedelta
    notes: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def expect(self, is_so: bool, what: str) -> bool:
        if not is_so:
            self.wrong.append(what)
        return is_so

    def done(self, *words: str, status: int = 0, timeout_s: float = ROLLOUT_TIMEOUT_S) -> bool:
        """Whether the command ended as it should."""
        ran = self.stage.sdfleet(*words, timeout_s=timeout_s)
        last = (ran.stderr.strip() or ran.stdout.strip()).splitlines()[-1:]
        return self.expect(ran.returncode == status, f"{' '.join(words)} ended with {ran.returncode}: {last}")

    def build(self, version: str, *options: str) -> bool:
        return self.done("build-images", "local", version, *options)

    def deploy(self, version: str, *options: str) -> Rollout | None:
        """The rollout, just begun."""
        bake = f"{int(self.bake.total_seconds())}s"
        words = ("deploy-new-version", "local", version, "--percentage", "20", "--bake", bake, "--yes", *options)
        return self.begun(version) if self.done(*words) else None

    def begun(self, version: str) -> Rollout | None:
        rollout = self.stage.watch.fleet.history().current
        is_ours = rollout is not None and rollout.target.version == version
        self.expect(is_ours, f"no rollout to {version} is recorded")
        return rollout if is_ours else None

    def over(self, rollout: Rollout, phase: Phase, *, lost: int = 0) -> Rollout | None:
        """The rollout at its end, and all that is true of every end. `lost`: instances that were taken away by then."""
        watch = self.stage.watch
        ended = watch.until(OVER, rollout_id=rollout.id, within_s=ROLLOUT_TIMEOUT_S)
        if not self.expect(ended is not None, f"the rollout to {rollout.target.version} did not end") or ended is None:
            return None
        self.expect(ended.phase is phase, f"it ended as {ended.phase} ({ended.reason}), not {phase}")
        time.sleep(1.0)
        fewest = min((sight.in_service for sight in watch.of(rollout)), default=0)
        capacity = watch.fleet.group.state().capacity - lost
        self.expect(fewest >= capacity, f"only {fewest} instances were in service, and {capacity} are wanted")
        lag = watch.lag_s(rollout)
        self.expect(lag <= MOST_LAG_S, f"the record was right after {lag:.0f} s")
        unwatched = watch.unwatched(rollout)
        self.expect(not unwatched, f"in {unwatched} looks an alarm on the release on trial was not there")
        self.expect(watch.is_rid_of_alarms(within_s=MOST_LAG_S), "alarms on the release that was on trial are left")
        took = (ended.ended_at or ended.started_at) - ended.started_at
        self.notes.append(
            f"{rollout.former.version} -> {rollout.target.version}: {ended.phase} after {took.total_seconds():.0f} s, "
            f"never under {fewest} in service, recorded {lag:.1f} s after the group was done"
        )
        return ended

    def face(self, version: str, previous: str | None = None) -> None:
        found = self.stage.watch.face()
        self.expect(found[0] == version and found[2] == "stable", f"SSM shows {found}, not {version}, stable")
        if previous is not None:
            self.expect(found[1] == previous, f"previous-version is {found[1]}, not {previous}")

    def statuses(self, rollout: Rollout, *wanted: str) -> None:
        seen = self.stage.statuses(since=rollout.started_at)
        self.expect(seen == list(wanted), f"deployment-status went {' -> '.join(seen)}")

    def canary(self, rollout: Rollout) -> None:
        """Exactly a fifth during its bake: whole instances, rounded up."""
        shares = self.stage.watch.shares(rollout, Phase.CANARY_BAKING)
        capacity = self.stage.watch.fleet.group.state().capacity
        wanted = -(-capacity * rollout.wish.percentage // 100)
        self.expect(set(shares) == {wanted}, f"looks by instances on {rollout.target.version}: {dict(shares)}")
        self.notes.append(f"{wanted} of {capacity} during the canary's bake, in all {sum(shares.values())} looks")
