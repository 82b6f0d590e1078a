"""The scenes of the rehearsal. Each begins and ends on a fleet that is stable, on the release that it began with."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

from sdfleet.domain.rollout import Phase, Rollout
from sdfleet_cli.rehearsal.play import OVER, Play
from sdfleet_cli.rehearsal.stage import ROLLOUT_TIMEOUT_S, Stage
from sdfleet_local.bad_versions import Fault

#: In which a terminal is left.
_LEFT_IN = (Phase.CANARY, Phase.CANARY_BAKING, Phase.ROLLING, Phase.BAKING)
#: A notice is two minutes; what takes its place boots meanwhile.
_SPOT_WITHIN_S = 240.0

Scene = Callable[[Play], None]


def good_release(play: Play) -> None:
    """A canary of a fifth, the rest, and back again after the end."""
    play.build("1.1.0")
    rollout = play.deploy("1.1.0")
    if rollout is None or play.over(rollout, Phase.SUCCEEDED) is None:
        return
    play.canary(rollout)
    play.statuses(rollout, "in-progress", "stable")
    _back_from(play, rollout)


def _back_from(play: Play, rollout: Rollout) -> None:
    """`rollback.sh` after the end of a rollout that succeeded."""
    former = rollout.former.version
    play.face(rollout.target.version, previous=former)
    if not play.done("rollback", "local", "--yes", "--wait"):
        return
    rollback = play.begun(former)
    if rollback is not None and play.over(rollback, Phase.SUCCEEDED) is not None:
        play.face(former)


def rollback_in_the_middle(play: Play) -> None:
    play.build("1.1.1")
    rollout = play.deploy("1.1.1")
    if rollout is None:
        return
    play.expect(
        play.stage.watch.until({Phase.CANARY_BAKING}, rollout_id=rollout.id, within_s=ROLLOUT_TIMEOUT_S) is not None,
        "the canary never baked",
    )
    play.done("deploy-new-version", "local", "1.1.1", "--yes", status=3)
    play.done("rollback", "local", "--yes", "--why", "rehearsed")
    if play.over(rollout, Phase.ROLLED_BACK) is not None:
        play.statuses(rollout, "in-progress", "rolling-back", "stable")
        play.face(rollout.former.version)


def hold_and_promote(play: Play) -> None:
    rollout = _held(play, "1.1.2")
    if rollout is None:
        return
    # Longer than its bake: nothing but a promotion lets it go on.
    time.sleep(play.bake.total_seconds() + 2)
    now = play.stage.watch.sights[-1]
    play.expect(now.rollout is not None and now.rollout.phase is Phase.HELD, "it went on unpromoted")
    play.notes.append(f"held with {now.releases.get('1.1.2', 0)} of {now.in_service} on 1.1.2")
    _promote_and_go_back(play, rollout)


def _held(play: Play, version: str) -> Rollout | None:
    """A rollout whose canary waits."""
    play.build(version)
    rollout = play.deploy(version, "--hold")
    if rollout is None:
        return None
    held = play.stage.watch.until({Phase.HELD}, rollout_id=rollout.id, within_s=ROLLOUT_TIMEOUT_S)
    return rollout if play.expect(held is not None, "the canary was never held") else None


def _promote_and_go_back(play: Play, rollout: Rollout, *, lost: int = 0) -> None:
    """`lost`: instances that were taken away meanwhile."""
    if play.done("promote", "local", "--yes", "--wait") and play.over(rollout, Phase.SUCCEEDED, lost=lost) is not None:
        _back_from(play, rollout)


def spot_loss(play: Play) -> None:
    """An instance of the former release is taken away beside the canary. What replaces it has the new release."""
    rollout = _held(play, "1.1.3")
    if rollout is None:
        return
    victim = next(
        str(one["instance_id"])
        for one in play.stage.watch.instances()
        if one["state"] == "InService" and one["release"] == rollout.former.version
    )
    if not play.done("local", "interrupt", victim):
        return
    replaced = _replaced(play, victim)
    if not play.expect(replaced is not None, f"{victim} was not replaced in {_SPOT_WITHIN_S:.0f} s") or not replaced:
        return
    shown = json.loads(play.stage.sdfleet("check-deployment-status", "local", "--json").stdout)[0]["state"]["releases"]
    play.expect(shown == replaced, f"the status shows {shown}, and there are {replaced}")
    play.expect(replaced.get("1.1.3", 0) in {1, 2}, f"instances by release after a Spot loss: {replaced}")
    play.notes.append(f"after one of the former release was lost to Spot: {shown}, as the status shows")
    _promote_and_go_back(play, rollout, lost=1)


def _replaced(play: Play, victim: str) -> dict[str, int] | None:
    """Instances in service by release, once the victim is gone and as many serve as before."""
    end = time.monotonic() + _SPOT_WITHIN_S
    capacity = play.stage.watch.fleet.group.state().capacity
    while time.monotonic() < end:
        members = play.stage.watch.instances()
        serving = Counter(str(one["release"]) for one in members if one["state"] == "InService")
        if all(one["instance_id"] != victim for one in members) and serving.total() == capacity == len(members):
            return dict(serving)
        time.sleep(1.0)
    return None


def bad_version(fault: Fault) -> Scene:
    def scene(play: Play) -> None:
        version = f"1.2.0-{fault}"
        play.build(version, "--bad", fault)
        rollout = play.deploy(version)
        if rollout is None:
            return
        ended = play.over(rollout, Phase.ROLLED_BACK)
        if ended is None:
            return
        play.notes.append(f"turned back: {ended.reason}")
        play.statuses(rollout, "in-progress", "rolling-back", "stable")
        play.face(rollout.former.version)
        # Counted in whole looks of the alarms.
        time.sleep(3.0)
        runs = play.stage.watch.fleet.group.runs(
            (rollout.former.version, version), since=rollout.started_at, until=ended.ended_at
        )
        former, trial = runs[rollout.former.version], runs[version]
        play.notes.append(f"runs: {trial.bad} failed and {trial.good} went well on it, {former.count} on the rest")

    return scene


def terminals_left(number: signal.Signals) -> Scene:
    """Ctrl-C, or a window that is closed, in every phase: whoever watches does not matter."""

    def scene(play: Play) -> None:
        version = f"1.3.0-{number.name.lower()}"
        play.build(version)
        words = ("--percentage", "20", "--bake", f"{int(play.bake.total_seconds())}s", "--yes", "--wait")
        terminal = play.stage.terminal("deploy-new-version", "local", version, *words)
        rollout: Rollout | None = None
        for phase in _LEFT_IN:
            seen = play.stage.watch.until({phase, *OVER}, rollout_id=rollout.id if rollout else None, within_s=240)
            if seen is None or seen.target.version != version:
                seen = _of_version(play, version, {phase})
            if not play.expect(seen is not None, f"{phase} never came") or seen is None or seen.is_over:
                break
            rollout = seen
            play.notes.append(f"left in {phase}: {_leave(play, terminal, number)}")
            terminal = play.stage.terminal("check-deployment-status", "local", "--wait")
        _leave(play, terminal, number, must_run=False)
        if rollout is not None and play.over(rollout, Phase.SUCCEEDED) is not None:
            _back_from(play, rollout)

    return scene


def _of_version(play: Play, version: str, phases: set[Phase]) -> Rollout | None:
    """Before it, `until` finds the last rollout, which is another."""
    end = time.monotonic() + 240
    while time.monotonic() < end:
        seen = play.stage.watch.until(phases, within_s=1.0)
        if seen is not None and seen.target.version == version:
            return seen
    return None


def _leave(play: Play, terminal: subprocess.Popen[str], number: signal.Signals, *, must_run: bool = True) -> str:
    """What became of it."""
    # A second for Python to start, where the phase came at once.
    time.sleep(1.5)
    if terminal.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(terminal.pid, number)
    elif must_run:
        return f"it had ended with {terminal.returncode}"
    try:
        status = terminal.wait(30)
    except subprocess.TimeoutExpired:
        terminal.kill()
        play.expect(is_so=False, what=f"a terminal did not end at {number.name}")
        return "it had to be killed"
    return f"exit status {status}"


def events_lost(play: Play) -> None:
    """None reaches the recorder in time."""
    # SQS's longest delay: the rehearsal is over by then.
    sqs, url = play.stage.clients.sqs, play.stage.event_queue_url
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"DelaySeconds": "900"})
    try:
        _roll_out(play, "1.4.0")
    finally:
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"DelaySeconds": "0"})


def events_doubled_and_reordered(play: Play) -> None:
    """All kinds of them, at any time and in any order, of this refresh and of others."""
    with _noise(play.stage) as sent:
        _roll_out(play, "1.4.1")
    play.notes.append(f"{sent[0]} events that meant nothing")


def _roll_out(play: Play, version: str) -> None:
    play.build(version)
    rollout = play.deploy(version)
    if rollout is not None and play.over(rollout, Phase.SUCCEEDED) is not None:
        play.canary(rollout)
        play.statuses(rollout, "in-progress", "stable")
        _back_from(play, rollout)


@contextmanager
def _noise(stage: Stage) -> Iterator[list[int]]:
    """How many it sent."""
    stopping, sent, chance = threading.Event(), [0], random.Random(1)
    kinds = (
        "Started",
        "Checkpoint Reached",
        "Succeeded",
        "Failed",
        "Cancelled",
        "Rollback Succeeded",
        "Rollback Failed",
    )

    def send() -> None:
        while not stopping.wait(chance.uniform(0.1, 0.9)):
            event: Mapping[str, object] = {
                "source": "aws.autoscaling",
                "detail-type": f"EC2 Auto Scaling Instance Refresh {chance.choice(kinds)}",
                "detail": {"AutoScalingGroupName": stage.watch.fleet.runtime, "InstanceRefreshId": "of-another-day"},
            }
            stage.clients.sqs.send_message(QueueUrl=stage.event_queue_url, MessageBody=json.dumps(event))
            sent[0] += 1

    thread = threading.Thread(target=send, name="noise", daemon=True)
    thread.start()
    try:
        yield sent
    finally:
        stopping.set()
        thread.join()


SCENES: Mapping[str, Scene] = {
    "good": good_release,
    "rollback": rollback_in_the_middle,
    "hold": hold_and_promote,
    "spot-loss": spot_loss,
    **{str(fault): bad_version(fault) for fault in Fault},
    "ctrl-c": terminals_left(signal.SIGINT),
    "killed-terminal": terminals_left(signal.SIGKILL),
    "events-lost": events_lost,
    "events-doubled": events_doubled_and_reordered,
}
