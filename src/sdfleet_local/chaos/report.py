"""The account as a table for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sdfleet_local.chaos.accounting import Account, Finding
from sdfleet_local.chaos.redelivery import Redelivery
from sdfleet_local.chaos.schedule import ChaosOptions

#: Findings that a table shows; JSON has all.
_SHOWN = 20


@dataclass(frozen=True)
class Report:
    options: ChaosOptions
    account: Account
    #: Faults by kind: struck, and found nothing to strike.
    struck: Mapping[str, int]
    missed: Mapping[str, int]
    #: The schedulers' calls, and what met them: `sqs cut`.
    aws_calls: int
    aws_faults: Mapping[str, int]
    redeliveries: tuple[Redelivery, ...]
    runs_at_once: int
    #: From the first submission to the last settled task.
    seconds: float
    #: From a real runtime's hang to its restart.
    hangs_ended_s: tuple[float, ...] = ()

    @property
    def is_passed(self) -> bool:
        return self.account.is_clean

    def to_json(self) -> dict[str, Any]:
        return {"passed": self.is_passed, **asdict(self)}

    def to_text(self) -> str:
        account = self.account
        failures = ", ".join(f"{code} {count}" for code, count in sorted(account.failed.items()))
        rows = [
            ("accepted", str(account.accepted)),
            ("succeeded", str(account.succeeded)),
            ("failed", f"{sum(account.failed.values())}{f' ({failures})' if failures else ''}"),
            ("cancelled", str(account.cancelled)),
            ("bad messages", str(account.poisons)),
            ("doubled notices", str(account.doubled_notices)),
            ("runs at once", str(self.runs_at_once)),
            ("seconds", f"{self.seconds:.0f}"),
            ("", ""),
            ("LOST", str(len(account.lost))),
            ("VISIBLY DUPLICATED", str(len(account.duplicated))),
            ("UNEXPECTED", str(len(account.unexpected))),
        ]
        lines = [f"{name:<20}{value}".rstrip() for name, value in rows]
        lines += ["", "Faults"]
        lines += [
            f"  {kind:<18}{count:>6}" + (f"  ({self.missed[kind]} more found nothing)" if kind in self.missed else "")
            for kind, count in sorted({**dict.fromkeys(self.missed, 0), **self.struck}.items())
        ]
        met = sum(self.aws_faults.values())
        share = met / self.aws_calls if self.aws_calls else 0.0
        lines.append(f"  {'AWS calls':<18}{met:>6}  of {self.aws_calls} ({share:.1%})")
        if self.hangs_ended_s:
            lines.append(f"  hung runtimes restarted by their scheduler, after s: {_seconds(self.hangs_ended_s)}")
        lines += ["", "From the fault to running elsewhere"]
        lines += [
            f"  {one.kind:<18}{one.count:>6}  median {one.median_s:.1f} s, longest {one.longest_s:.1f} s"
            for one in self.redeliveries
        ]
        for title, findings in (
            ("Lost", account.lost),
            ("Duplicated", account.duplicated),
            ("Unexpected", account.unexpected),
        ):
            lines += _listed(title, findings)
        return "\n".join(lines)


def _seconds(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.0f}" for value in values)


def _listed(title: str, findings: tuple[Finding, ...]) -> list[str]:
    if not findings:
        return []
    more = [f"  and {len(findings) - _SHOWN} more"] if len(findings) > _SHOWN else []
    return ["", title, *(f"  {one.task_id}: {one.what}" for one in findings[:_SHOWN]), *more]
