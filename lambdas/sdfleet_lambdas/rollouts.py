"""What moves a fleet from one release to another: the commands and the recorder go through this one class.

The record comes first, then what is asked of Auto Scaling, then the parameters that everyone reads. Whatever is cut off
between two of them, the next `reconcile` completes: it runs every minute, and at every event.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sdfleet.domain import names
from sdfleet.domain import rollout_machine as machine
from sdfleet.domain.instance_refresh import Action, EndTrial
from sdfleet.domain.release import Release, check_version
from sdfleet.domain.rollout import DeploymentStatus, Intent, Phase, Rollout, Target, Wish, face
from sdfleet.domain.rollout_record import RolloutHistory, to_json
from sdfleet.errors import DeploymentError, DeploymentRefused, RecordConflict, ServiceUnavailable, TrialUnwatched
from sdfleet.fleet_ports import BootRecords, ReleaseStore, RolloutGroup, RolloutStore
from sdfleet.ports import Clock
from sdfleet.telemetry import logs

log = logs.get_logger(__name__)

IMAGE_VERSION = "image-version"
PREVIOUS_VERSION = "previous-version"
DEPLOYMENT_STATUS = "deployment-status"
LAUNCH_TEMPLATE_VERSION = "launch-template-version"
ROLLOUT = "rollout"
#: Of the release on trial, in a row: three boots on three machines are no chance. Auto Scaling would try for an hour.
MOST_FAILED_BOOTS = 3
#: Writers of one record: the recorder, and people.
ROUNDS = 10

Step = Callable[[RolloutHistory], tuple[Rollout, tuple[Action, ...]]]


@dataclass(frozen=True)
class FleetRollouts:
    """The rollouts of one runtime's fleet. Every call may raise ServiceUnavailable or DeploymentError."""

    runtime: str
    store: RolloutStore
    group: RolloutGroup
    releases: ReleaseStore
    clock: Clock
    new_id: Callable[[], str]
    #: How the instances of each release come up; None: nobody keeps it.
    boots: BootRecords | None = None
    #: The images of a release that are gone; whoever starts rollouts looks, the recorder need not.
    missing_images: Callable[[Release], Sequence[str]] = lambda _: ()

    def history(self) -> RolloutHistory:
        return self.store.load(self.runtime)

    def current_version(self) -> str | None:
        return self.releases.read(self.runtime, IMAGE_VERSION)

    def previous_version(self) -> str | None:
        version = self.releases.read(self.runtime, PREVIOUS_VERSION)
        return None if version in (None, "", names.NO_RELEASE) else version

    def release(self, version: str) -> Release:
        """Raises:
        DeploymentRefused: no release is called so.
        """
        check_version(version)
        record = self.releases.read(self.runtime, f"releases/{version}")
        if record is None:
            raise DeploymentRefused(
                f"There is no release {version} of {self.runtime}; make it with scripts/build-and-push-image.sh."
            )
        return Release.from_json(json.loads(record))

    def check_start(self, version: str, wish: Wish) -> None:
        """Raises:
        DeploymentRefused: `start` would be.
        """
        missing = self.missing_images(self.release(version))
        if missing:
            raise DeploymentRefused(
                f"The image {missing[0]} of release {version} is gone; build another version with "
                "scripts/build-and-push-image.sh."
            )
        self._plan(self.history(), Target(version, ""), wish, "")

    def start(self, version: str, wish: Wish) -> Rollout:
        """Raises:
        DeploymentRefused: unknown release, another rollout is under way, nothing to do.
        TrialUnwatched: no alarms could be put on it; it is taken back before it began.
        """
        # Refused before anything is made on the account.
        self.check_start(version, wish)
        target = Target(version, self.group.add_template_version(self.release(version)))
        rollout_id = self.new_id()
        try:
            return self._change(lambda history: self._plan(history, target, wish, rollout_id))
        except TrialUnwatched as error:
            # The recorder may be allowed more, and would begin what its person was told is not to be.
            reason = str(error)
            self._change(lambda history: self._turned_back(history, reason))
            raise

    def _plan(
        self, history: RolloutHistory, target: Target, wish: Wish, rollout_id: str
    ) -> tuple[Rollout, tuple[Action, ...]]:
        former_version, state = self.current_version(), self.group.state()
        if former_version is None or former_version in ("", names.NO_RELEASE):
            raise DeploymentRefused(f"{self.runtime} has no release to come from; deploy the service with ./deploy.sh.")
        if wish.floor > state.maximum:
            raise DeploymentRefused(
                f"A floor of {wish.floor} is above the greatest size of {self.runtime}'s fleet, {state.maximum}."
            )
        return machine.plan_start(
            history.current,
            rollout_id=rollout_id,
            runtime=self.runtime,
            former=Target(former_version, state.template_version),
            target=target,
            wish=wish,
            now=self.clock.now(),
            minimum=state.minimum,
        )

    def promote(self, *, by: str) -> Rollout:
        """Raises:
        DeploymentRefused: there is no finished canary.
        """
        return self._change(
            lambda history: machine.plan_promote(_present(history, self.runtime), reason=f"promoted by {by}")
        )

    def roll_back(self, *, by: str, why: str = "") -> Rollout:
        """Turn back the rollout that is under way.

        Raises:
            DeploymentRefused: none is.
        """
        reason = f"rolled back by {by}" + (f": {why}" if why else "")
        return self._change(lambda history: machine.plan_rollback(_present(history, self.runtime), reason=reason))

    def reconcile(self) -> Rollout | None:
        """Take in what Auto Scaling reports; the rollout, over or not. None: there was never one."""
        history = self.history()
        if history.current is None:
            return None
        if history.current.is_settled:
            self._show(history)
            return history.current
        observed = self.group.observed()
        rollout = self._change(
            lambda history: machine.reconcile(_present(history, self.runtime), observed, now=self.clock.now())
        )
        reason = self._why_it_does_not_boot(rollout)
        if reason is None:
            return rollout
        return self._change(lambda history: self._turned_back(history, reason))

    def _turned_back(self, history: RolloutHistory, reason: str) -> tuple[Rollout, tuple[Action, ...]]:
        present = _present(history, self.runtime)
        return (present, ()) if present.is_over else machine.plan_rollback(present, reason=reason)

    def _why_it_does_not_boot(self, rollout: Rollout) -> str | None:
        """None: it does, for all that is known, or nothing can be turned back any more."""
        if self.boots is None or rollout.is_over or rollout.intent is Intent.ROLL_BACK:
            return None
        record = self.boots.load(self.runtime, rollout.target.version)
        is_of_this_rollout = record.failed_at is not None and record.failed_at >= rollout.started_at
        if record.failures_in_a_row < MOST_FAILED_BOOTS or not is_of_this_rollout:
            return None
        return f"{record.failures_in_a_row} instances in a row gave up at boot, the last with: {record.reason}"

    def _change(self, step: Step) -> Rollout:
        for _ in range(ROUNDS):
            history = self.history()
            rollout, actions = step(history)
            try:
                self.store.save(self.runtime, history.followed_by(rollout))
            except RecordConflict:
                continue
            if history.current is None or history.current.phase is not rollout.phase:
                log.info("rollout.moved", runtime=self.runtime, rollout=rollout.id, phase=rollout.phase)
            for action in actions:
                self._ask(rollout, action)
            self._show(history.followed_by(rollout))
            return rollout
        raise ServiceUnavailable(f"The rollout of {self.runtime} keeps changing; try again.")

    def _ask(self, rollout: Rollout, action: Action) -> None:
        log.info("rollout.asked", runtime=self.runtime, rollout=rollout.id, action=type(action).__name__)
        try:
            self.group.carry_out(action)
        except DeploymentError as error:
            if not isinstance(action, EndTrial):
                raise
            # They cost cents, and the rollout is over: that is to be shown. The next look deletes them.
            log.warning("trial_alarms.left", runtime=self.runtime, rollout=rollout.id, reason=str(error))

    def _show(self, history: RolloutHistory) -> None:
        """Write what the parameters do not say yet."""
        rollout = _present(history, self.runtime)
        shown = face(rollout, previous_version=self._version_before(history))
        values = {
            ROLLOUT: json.dumps(to_json(replace(rollout, observed_at=None)), separators=(",", ":")),
            IMAGE_VERSION: shown.image_version,
            PREVIOUS_VERSION: shown.previous_version or names.NO_RELEASE,
            DEPLOYMENT_STATUS: str(shown.deployment_status),
        }
        if shown.deployment_status is DeploymentStatus.STABLE:
            target = rollout.target if rollout.phase is Phase.SUCCEEDED else rollout.former
            values[LAUNCH_TEMPLATE_VERSION] = target.template_version
        for name, value in values.items():
            if self.releases.read(self.runtime, name) != value:
                self.releases.write(self.runtime, name, value)

    def _version_before(self, history: RolloutHistory) -> str | None:
        """`previous-version` as it was before the current rollout."""
        succeeded = next((one for one in history.past if one.phase is Phase.SUCCEEDED), None)
        return succeeded.former.version if succeeded else None


def _present(history: RolloutHistory, runtime: str) -> Rollout:
    if history.current is None:
        raise DeploymentRefused(f"{runtime} has had no rollout.")
    return history.current
