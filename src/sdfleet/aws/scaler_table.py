"""The fast scaler's memory and the instances' reports in the deployment's table: one item a fleet, one an instance."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sdfleet.aws.error_mapping import translated
from sdfleet.aws.task_record import PARTITION_KEY, TTL_ATTRIBUTE
from sdfleet.aws.wake_mark import DynamoWakeMark, moment_number, scaler_item_key
from sdfleet.domain import names
from sdfleet.domain.arrivals import Arrivals
from sdfleet.domain.fleet_observation import ManualSetting, Surplus
from sdfleet.domain.scaler_record import BootFailures, Fallback, InstanceWork, ScalerRecord

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

#: BatchGetItem, API reference.
_BATCH = 100
#: An instance that says nothing for so long is gone.
_REPORTS_KEPT = timedelta(hours=6)


class DynamoScalerStore:
    def __init__(self, client: DynamoDBClient, table_name: str) -> None:
        self._client = client
        self._table_name = table_name
        self._mark = DynamoWakeMark(client, table_name)

    def load(self, runtime: str) -> ScalerRecord:
        with translated():
            answer = self._client.get_item(
                TableName=self._table_name, Key=scaler_item_key(runtime), ConsistentRead=True
            )
        item = answer.get("Item")
        if item is None:
            return ScalerRecord()
        return replace(
            _record(json.loads(item["state"]["S"])) if "state" in item else ScalerRecord(),
            revision=int(item["revision"]["N"]),
            awake_until=_moment(item, "awake_until"),
            called_at=_moment(item, "called_at"),
        )

    def save(self, runtime: str, record: ScalerRecord) -> ScalerRecord:
        item: dict[str, Any] = {
            **scaler_item_key(runtime),
            "revision": {"N": str(record.revision + 1)},
            "state": {"S": json.dumps(_fields(record), separators=(",", ":"))},
        }
        for name, moment in (("awake_until", record.awake_until), ("called_at", record.called_at)):
            if moment is not None:
                item[name] = moment_number(moment)
        with translated():
            self._client.put_item(
                TableName=self._table_name,
                Item=item,
                ConditionExpression="attribute_not_exists(pk) OR revision = :revision"
                if record.revision == 0
                else "revision = :revision",
                ExpressionAttributeValues={":revision": {"N": str(record.revision)}},
            )
        return replace(record, revision=record.revision + 1)

    def wake(self, runtime: str, *, now: datetime) -> bool:
        return self._mark.wake(runtime, now=now)


class DynamoWorkReports:
    def __init__(self, client: DynamoDBClient, table_name: str) -> None:
        self._client = client
        self._table_name = table_name

    def report(self, work: InstanceWork) -> None:
        item: dict[str, Any] = {
            PARTITION_KEY: {"S": names.instance_key(work.instance_id)},
            TTL_ATTRIBUTE: {"N": str(int((work.at + _REPORTS_KEPT).timestamp()))},
            "seen_at": moment_number(work.at),
        }
        if work.idle_since is not None:
            item["idle_since"] = moment_number(work.idle_since)
        if work.task_s is not None:
            item["task_s"] = {"N": f"{work.task_s:.6g}"}
        with translated():
            self._client.put_item(TableName=self._table_name, Item=item)

    def read(self, instance_ids: Sequence[str]) -> dict[str, InstanceWork]:
        found: dict[str, InstanceWork] = {}
        for start in range(0, len(instance_ids), _BATCH):
            asked: Any = {
                self._table_name: {
                    "Keys": [{PARTITION_KEY: {"S": names.instance_key(one)}} for one in instance_ids[start:][:_BATCH]]
                }
            }
            with translated():
                answer = self._client.batch_get_item(RequestItems=asked)
            # What DynamoDB could not read this time counts as not said: such an instance is taken for busy.
            for item in answer["Responses"].get(self._table_name, ()):
                instance_id = item[PARTITION_KEY]["S"].rpartition("/")[2]
                found[instance_id] = _work(instance_id, item)
        return found


def _work(instance_id: str, item: Any) -> InstanceWork:
    seen_at = _moment(item, "seen_at")
    return InstanceWork(
        instance_id,
        at=seen_at or datetime.fromtimestamp(0, UTC),
        idle_since=_moment(item, "idle_since"),
        task_s=float(item["task_s"]["N"]) if "task_s" in item else None,
    )


def _moment(item: Any, name: str) -> datetime | None:
    return datetime.fromtimestamp(float(item[name]["N"]), UTC) if name in item else None


def _fields(record: ScalerRecord) -> dict[str, Any]:
    """What is not told stays out: a sleeping fleet's is a few bytes."""
    arrivals, failures, fallback, manual = record.arrivals, record.failures, record.fallback, record.manual
    surplus = record.surplus
    fields: dict[str, Any] = {
        "holder": record.holder,
        "resting_since": _text(record.resting_since),
        "arrivals": arrivals and [_text(arrivals.at), arrivals.backlog, [round(rate, 6) for rate in arrivals.rates]],
        "coming": {instance_id: _text(since) for instance_id, since in record.coming.items()},
        "task_s": record.task_s,
        "boot_s": record.boot_s,
        "failures": failures and [failures.template_version, failures.count, _text(failures.at)],
        "short_since": _text(record.short_since),
        "short_at": record.short_at,
        "surplus": surplus and [_text(surplus.since), surplus.least, surplus.desired, _text(surplus.at)],
        "fallback": fallback and [_text(fallback.since), fallback.base_before, fallback.base],
        "manual": manual and [manual.capacity, _text(manual.until)],
        "reason": record.reason,
        "decided_at": _text(record.decided_at),
        "queued_s": round(record.queued_s, 3),
    }
    return {name: value for name, value in fields.items() if value}


def _record(fields: dict[str, Any]) -> ScalerRecord:
    arrivals, failures, fallback, manual = (fields.get(name) for name in ("arrivals", "failures", "fallback", "manual"))
    surplus = fields.get("surplus")
    return ScalerRecord(
        holder=fields.get("holder", ""),
        resting_since=_read(fields.get("resting_since")),
        arrivals=Arrivals(datetime.fromisoformat(arrivals[0]), arrivals[1], tuple(arrivals[2])) if arrivals else None,
        coming=MappingProxyType({one: datetime.fromisoformat(at) for one, at in fields.get("coming", {}).items()}),
        task_s=fields.get("task_s"),
        boot_s=fields.get("boot_s"),
        failures=BootFailures(failures[0], failures[1], datetime.fromisoformat(failures[2])) if failures else None,
        short_since=_read(fields.get("short_since")),
        short_at=fields.get("short_at", 0),
        surplus=Surplus(datetime.fromisoformat(surplus[0]), surplus[1], surplus[2], datetime.fromisoformat(surplus[3]))
        if surplus
        else None,
        fallback=Fallback(datetime.fromisoformat(fallback[0]), fallback[1], fallback[2]) if fallback else None,
        manual=ManualSetting(manual[0], _read(manual[1])) if manual else None,
        reason=fields.get("reason", ""),
        decided_at=_read(fields.get("decided_at")),
        queued_s=fields.get("queued_s", 0.0),
    )


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _read(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
