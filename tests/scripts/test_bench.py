from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sdfleet.errors import ConfigError
from sdfleet_bench import report
from sdfleet_bench.load import LoadResult
from sdfleet_bench.scheduler import timeline
from sdfleet_cli.main import main
from sdfleet_local.aws_latency import ASSUMED_LATENCY_MS, Delayed, read_latencies, service_of, write_latencies

SIGNED = "AWS4-HMAC-SHA256 Credential=local/20261121/us-east-1/{}/aws4_request, SignedHeaders=host, Signature=0"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["bench", *arguments])


def measured(*arguments: str) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    report: dict[str, Any] = json.loads(result.output)
    assert report["machine"]["cores"] >= 1
    assert report["machine"]["cpu_model"]
    assert {"load_before", "load_after"} <= report.keys()
    return report


def test_the_scheduler_is_measured_beside_a_bare_loop() -> None:
    outcome = measured("scheduler", "--image-seconds", "0.02", "--tasks", "5", "--aws-latency-ms", "sqs=1,s3=2")
    instant, delayed = outcome["results"]
    assert (instant["has_aws_latency"], delayed["has_aws_latency"]) == (False, True)
    for result in (instant, delayed):
        assert result["tasks"] == 5
        assert 0 < result["bare_loop"]["idle_share"] < 1
        assert 0 < result["scheduler"]["idle_share"] < 1
        assert result["cpu_ms_per_task"] > 0
        assert result["peak_rss_mib"] > 10


def test_an_image_weighs_what_its_packages_weigh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = tmp_path / "index"
    index.mkdir()
    wheel = index / "ballast-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("ballast.bin", bytes(1_000_000))
        archive.writestr("ballast-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: ballast\nVersion: 1.0\n")
        archive.writestr(
            "ballast-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("ballast-1.0.dist-info/RECORD", "")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    requirements = tmp_path / "images" / "painter" / "requirements.txt"
    requirements.parent.mkdir(parents=True)
    requirements.write_text(f"ballast==1.0 --hash=sha256:{digest}\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))

    (weight,) = measured("images", "--folder", str(tmp_path / "images"))["results"]
    assert (weight["runtime"], weight["packages"], weight["heaviest"]) == ("painter", 1, wheel.name)
    assert weight["wheels_gb"] == weight["heaviest_gb"] == pytest.approx(wheel.stat().st_size / 1e9, abs=1e-3)


def test_packages_that_no_index_has_are_an_error_that_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "painter").mkdir()
    (tmp_path / "painter" / "requirements.txt").write_text(f"ballast==1.0 --hash=sha256:{'0' * 64}\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    result = run("images", "--folder", str(tmp_path))
    assert result.exit_code == 1
    assert "pip could not look the packages up: ERROR: No matching distribution found for ballast" in result.output


def test_a_download_is_measured_beside_a_plain_stream_from_both_endpoints_with_a_limit_and_without() -> None:
    results = measured("downloads", "--size-mib", "24", "--rounds", "1", "--limit-mib-s", "8")["results"]
    assert [(one["endpoint"], one["connection_limit_mib_s"]) for one in results] == [
        ("embedded", 8.0), ("embedded", None), ("loopback", 8.0), ("loopback", None),
    ]  # fmt: skip
    for result in results:
        assert result["is_exact"]
        assert (result["times_s5cmd"] is None) == (shutil.which("s5cmd") is None)
    # Three parts at once through connections of 8 MiB/s each.
    assert results[2]["times_single"] > 1.5


def test_a_load_on_the_api_has_no_errors() -> None:
    (result,) = measured(
        "api", "--rate", "5", "--duration", "1", "--environments", "2", "--aws-latency-ms", "dynamodb=1"
    )["results"]
    assert result["requests"] == 5
    assert result["errors"] == {}
    assert 0 < result["median_ms"] <= result["p99_ms"]


def test_the_handlers_load_the_standard_library_boto3_and_ours() -> None:
    (result,) = measured("lambda", "--rounds", "1", "--requests", "5")["results"]
    assert result["foreign_packages"] == []
    # 300 kB.
    assert result["package_kib"] * 1024 <= 300_000
    assert result["bare_interpreter_ms"] < result["handler_import_ms"]
    assert result["cpu_ms_per_request"] > 0


def test_models_are_changed_from_memory_disk_and_bucket() -> None:
    results = measured("models", "--size-mib", "1", "--rounds", "2")["results"]
    assert [result["source"] for result in results] == ["memory", "disk", "bucket"]
    for result in results:
        assert (result["changes"], result["size_mib"]) == (2, 1)
        assert 0 < result["median_s"] <= result["longest_s"]
        assert result["median_s"] <= result["median_task_s"]


def test_the_table_has_a_column_for_each_result() -> None:
    result = LoadResult(100, 99.5, {}, 20.0, 25.0, 41.25, 60.0, 20.0, 2.5)
    text = report.begin("api").end([result, replace(result, errors={"503": 2})]).to_text()
    rows = [line.split() for line in text.splitlines()]
    assert ["p99_ms", "41.25", "41.25"] in rows
    assert ["errors", "none", '{"503":', "2}"] in rows
    assert f"{os.cpu_count()} cores" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["scheduler", "--runtime-type", "comfyui"], "needs --runtime-url"),
        (["scheduler", "--runtime-url", "http://127.0.0.1:7860"], "the stub WebUI takes none"),
        (["scheduler", "--tasks", "1"], "not in the range"),
        (["api", "--aws-latency-ms", "ec2=5"], "'ec2=5' is no latency"),
    ],
)
def test_what_does_not_go_together_is_a_usage_error(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.output


def test_the_gpu_is_idle_between_the_jobs() -> None:
    seen = timeline([(0.0, 1.0), (1.1, 2.1), (2.4, 3.4)], 1.0)
    assert seen.idle_share == pytest.approx(0.4 / 3.4)
    assert seen.median_gap_ms == pytest.approx(200)
    assert seen.longest_gap_ms == pytest.approx(300)
    assert seen.overhead_ms == pytest.approx(1000 * 0.4 / 3)


def test_latencies_are_milliseconds_by_service() -> None:
    assert read_latencies("sqs=10, s3=0.5") == {"sqs": 10.0, "s3": 0.5}
    assert read_latencies("") == {}
    assert read_latencies(write_latencies(ASSUMED_LATENCY_MS)) == ASSUMED_LATENCY_MS


@pytest.mark.parametrize("text", ["sqs", "sqs=", "sqs=-1", "sqs=ten", "sqs=nan", "sqs=60000", "lambda=1"])
def test_what_is_no_latency_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is no latency; write milliseconds for sqs, sns, s3, dynamodb"):
        read_latencies(text)


@pytest.mark.parametrize("service", ["sqs", "sns", "s3", "dynamodb"])
def test_a_signed_call_is_known_by_its_scope(service: str) -> None:
    assert service_of(authorization=SIGNED.format(service), query="") == service
    link = f"X-Amz-Credential=local%2F20261121%2Fus-east-1%2F{service}%2Faws4_request&X-Amz-Expires=60"
    assert service_of(authorization="", query=link) == service


def test_an_unsigned_call_is_nobodys() -> None:
    assert service_of(authorization="", query="list-type=2") is None


def test_a_call_waits_for_its_services_latency_before_it_is_made() -> None:
    happened: list[Any] = []

    def app(*_: Any) -> list[bytes]:
        happened.append("call")
        return []

    delayed = Delayed(app, {"s3": 40.0, "sqs": 0.0}, sleep=happened.append)
    for service in ("s3", "sqs", "sns"):
        delayed({"HTTP_AUTHORIZATION": SIGNED.format(service)}, lambda *_: lambda _: None)
    assert happened == [0.04, "call", "call", "call"]
