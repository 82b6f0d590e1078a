"""The storm's plan."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from sdfleet_local.chaos.schedule import COMFYUI_FAULTS, RUNTIME_FAULTS, ChaosOptions, FaultKind, build_schedule

OPTIONS = ChaosOptions(
    tasks=100, instances=2, seed=7, kills=10, sigterms=3, notices=6, pool_notices=2, rebalances=1, scale_ins=1,
    drains=1, runtime_faults=14,
    aws_outages=2, duplicates=5, poisons=4, cancels=3, aws_error_share=0.05,
)  # fmt: skip


def test_a_seed_decides_the_schedule() -> None:
    assert build_schedule(OPTIONS) == build_schedule(OPTIONS)
    assert build_schedule(OPTIONS) != build_schedule(replace(OPTIONS, seed=8))


def test_every_fault_comes_as_often_as_asked_for() -> None:
    counts = Counter(fault.kind for fault in build_schedule(OPTIONS))
    assert counts[FaultKind.KILL] == 10
    assert counts[FaultKind.NOTICE] + counts[FaultKind.POOL_NOTICE] == 6
    assert counts[FaultKind.POOL_NOTICE] == 2
    assert {kind: counts[kind] for kind in RUNTIME_FAULTS} == dict.fromkeys(RUNTIME_FAULTS, 2)


def test_a_real_comfyui_meets_what_can_be_done_to_a_process() -> None:
    counts = Counter(
        fault.kind for fault in build_schedule(replace(OPTIONS, comfyui_command="start.sh", runtime_faults=10))
    )
    assert {kind: counts[kind] for kind in FaultKind if kind.startswith("runtime")} == {
        **dict.fromkeys((*RUNTIME_FAULTS, *COMFYUI_FAULTS), 0),
        **dict.fromkeys(COMFYUI_FAULTS, 2),
    }


def test_the_faults_come_in_order_and_within_the_storm() -> None:
    times = [fault.at_s for fault in build_schedule(replace(OPTIONS, duration_s=20.0))]
    assert times == sorted(times)
    assert 0 < times[0] <= times[-1] <= 20.0


def test_the_storm_ends_before_the_work_can() -> None:
    fastest_s = OPTIONS.tasks * (0.05 + OPTIONS.longest_job_s) / 2 / OPTIONS.instances
    assert OPTIONS.storm_s < fastest_s
