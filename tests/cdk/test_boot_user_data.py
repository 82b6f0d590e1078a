"""What an instance is told at its first boot."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from cdk_fleet_bench import WEBUI, fleet_template, with_fleet, written_files
from sdfleet.domain import names
from sdfleet.environment import DeploymentEnvironment, SchedulerEnvironment
from sdfleet_cdk import boot


def test_an_instance_reads_the_environment_that_it_is_told() -> None:
    environ = _environ()
    deployment = DeploymentEnvironment.from_env(environ)
    scheduler = SchedulerEnvironment.from_env(environ)
    assert deployment.deployment_id == "sdfleet"
    assert scheduler.runtime == "sdruntime"
    assert scheduler.runtime_url == "http://127.0.0.1:7860"
    assert scheduler.group_name == "sdfleet-sdruntime"
    assert scheduler.termination_hook == "sdfleet-sdruntime-termination"
    assert environ["AWS_REGION"] == "us-west-2"


def test_hook_and_scheduler_agree_on_the_hooks_timeout() -> None:
    template = fleet_template()
    hooks = template.one("AWS::AutoScaling::AutoScalingGroup")["LifecycleHookSpecificationList"]
    scheduler = SchedulerEnvironment.from_env(_environ())
    assert scheduler.termination_hook_timeout_s == hooks[1]["HeartbeatTimeout"]


def test_an_instance_knows_of_its_own_runtime_only() -> None:
    template = fleet_template(modelsRuntime=[dict(WEBUI), {"name": "flows", "type": "comfyui"}])
    for launch in template.of_type("AWS::EC2::LaunchTemplate"):
        name = launch["LaunchTemplateName"]
        user_data = launch["LaunchTemplateData"]["UserData"]["Fn::Base64"]
        other = {"sdfleet-sdruntime": "sdfleet-flows", "sdfleet-flows": "sdfleet-sdruntime"}[name]
        assert other not in json.dumps(user_data)


def test_user_data_fits_into_what_ec2_takes() -> None:
    assert len(fleet_template().user_data()) < boot.MAX_USER_DATA_BYTES


def test_the_server_has_the_environment_that_the_configuration_names() -> None:
    webui = {**WEBUI, "environment": {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}}
    files = written_files(fleet_template(modelsRuntime=[webui]).user_data())
    assert files["/etc/sdfleet/runtime.env"] == "PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True\n"
    assert "--env-file /etc/sdfleet/runtime.env" in files["/usr/local/lib/sdfleet/runtime.sh"]


def test_a_webui_waits_for_what_it_reads_at_its_start_where_a_scheduler_fetches_it() -> None:
    def waits_for(**settings: Any) -> str:
        return _instance_settings(**settings)["WAIT_FOR"]

    bucket = "arn:aws:s3:::my-models"
    assert waits_for(modelBucketArn=bucket) == "/var/lib/sdfleet/models/.synced"
    # Nobody would ever make the file.
    assert waits_for() == ""
    # It sees new files at once.
    assert waits_for(modelBucketArn=bucket, modelsRuntime=[{"name": "flows", "type": "comfyui"}]) == ""


def test_a_report_comes_before_the_launch_hook_has_run_out() -> None:
    hooks = fleet_template().one("AWS::AutoScaling::AutoScalingGroup")["LifecycleHookSpecificationList"]
    assert int(_instance_settings()["BOOT_PATIENCE_S"]) < hooks[0]["HeartbeatTimeout"]
    assert _instance_settings()["LAUNCH_HOOK"] == hooks[0]["LifecycleHookName"]


def test_the_runtimes_container_is_published_on_loopback_and_cut_from_the_metadata_service() -> None:
    files = written_files(fleet_template().user_data())
    runtime = files["/usr/local/lib/sdfleet/runtime.sh"]
    assert '--network sdfleet --publish "127.0.0.1:$RUNTIME_PORT:$RUNTIME_PORT"' in runtime
    assert "--network host" not in runtime
    isolate = files["/usr/local/lib/sdfleet/isolate.sh"]
    assert "once DOCKER-USER -i sdfleet0 -d 169.254.0.0/16 -j DROP" in isolate
    assert "once INPUT -i sdfleet0 -m conntrack --ctstate NEW -j DROP" in isolate


def test_the_schedulers_container_has_the_hosts_network_and_no_privilege() -> None:
    scheduler = written_files(fleet_template().user_data())["/usr/local/lib/sdfleet/scheduler.sh"]
    for words in ("--network host", "--read-only", "--cap-drop ALL", "--security-opt no-new-privileges"):
        assert words in scheduler


def test_every_unit_of_the_target_is_brought() -> None:
    files = written_files(fleet_template().user_data())
    target = files["/etc/systemd/system/sdfleet.target"]
    wanted = {word for line in target.splitlines() if line.startswith("Wants=") for word in line[6:].split()}
    assert {f"/etc/systemd/system/{unit}" for unit in wanted} <= files.keys()
    assert "sdfleet-runtime.service" in wanted
    assert yaml.safe_load(fleet_template().user_data())["runcmd"][-1][-1] == "sdfleet.target"


def test_an_ami_that_brings_scripts_and_units_leaves_the_settings_to_user_data() -> None:
    template = fleet_template(modelsRuntime=with_fleet(amiId="ami-0123456789abcdef0"))
    document = yaml.safe_load(template.user_data())
    assert {str(Path(file["path"]).parent) for file in document["write_files"]} == {"/etc/sdfleet"}
    assert document["runcmd"] == [["systemctl", "start", "--no-block", "sdfleet.target"]]


def test_what_the_ami_has_brought_wins_over_user_data() -> None:
    document = yaml.safe_load(fleet_template().user_data())
    unpack = document["runcmd"][0]
    assert unpack[:2] == ["sh", "-c"]
    assert unpack[2].startswith("test -e /usr/local/lib/sdfleet/boot.sh || tar ")


def test_scheduler_script_and_hook_give_a_boot_up_in_this_order() -> None:
    hooks = fleet_template().one("AWS::AutoScaling::AutoScalingGroup")["LifecycleHookSpecificationList"]
    scheduler = SchedulerEnvironment.from_env(_environ())
    assert scheduler.launch_hook == hooks[0]["LifecycleHookName"]
    assert scheduler.boot_directory == boot.BOOT_DIRECTORY
    assert scheduler.boot_patience_s is not None
    assert scheduler.boot_patience_s < int(_instance_settings()["BOOT_PATIENCE_S"]) < hooks[0]["HeartbeatTimeout"]


def test_the_scripts_count_in_the_record_that_the_scheduler_writes() -> None:
    settings = _instance_settings()
    assert settings["TABLE_NAME"]
    script = (boot.FILES / "give-up.sh").read_text()
    assert f"boots/{settings['RUNTIME']}/9.9" == names.boots_key("sdruntime", "9.9")
    assert "boots/$RUNTIME/$release" in script
    assert f'"Namespace": "{names.METRIC_NAMESPACE}"' in script
    assert f'"Name": "{names.BOOTS_FAILED}"' in script
    assert f'"{names.BOOTS_FAILED}": 1' in script


def test_the_test_pattern_needs_no_server() -> None:
    template = fleet_template(modelsRuntime=[{"name": "pattern", "type": "test_pattern"}])
    files = written_files(template.user_data())
    assert "/etc/sdfleet/runtime-arguments" not in files
    assert "ConditionPathExists=/etc/sdfleet/runtime-arguments" in files["/etc/systemd/system/sdfleet-runtime.service"]


def test_a_servers_arguments_are_handed_over_one_a_line() -> None:
    template = fleet_template(modelsRuntime=[{**WEBUI, "arguments": ["--medvram", "--opt=a b"]}])
    assert written_files(template.user_data())["/etc/sdfleet/runtime-arguments"] == "--medvram\n--opt=a b\n"


def test_what_is_measured_is_told_with_the_fleet() -> None:
    agent = json.loads(written_files(fleet_template().user_data())["/etc/sdfleet/cloudwatch-agent.json"])
    assert agent["metrics"]["metrics_collected"]["nvidia_gpu"]["append_dimensions"]["Fleet"] == "sdfleet-sdruntime"


def test_how_a_server_is_looked_after_is_handed_over_as_configured() -> None:
    cared = {
        "recycleAboveMib": 9000,
        "recycleAfterTasks": 50,
        "modelsInMemory": 2,
        "hangAfterS": 90,
        "restartAfterS": 240,
    }
    files = written_files(fleet_template(modelsRuntime=[{**WEBUI, **cared}]).user_data())
    line = next(one for one in files["/etc/sdfleet/scheduler.env"].splitlines() if one.startswith("SDFLEET_SCHEDULER="))
    told = json.loads(line.partition("=")[2])
    assert (told["recycle_above_mib"], told["recycle_after_tasks"], told["models_in_memory"]) == (9000, 50, 2)
    assert (told["hang_after_s"], told["runtime_restart_after_s"]) == (90, 240)


def test_the_scripts_pass_shellcheck(tmp_path: Path) -> None:
    scripts = _files_on(tmp_path, ".sh")
    checked = subprocess.run(
        [str(Path(sys.executable).with_name("shellcheck")), "--external-sources", "--exclude=SC1091", *scripts],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.stdout == ""
    assert checked.returncode == 0


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd")
def test_systemd_knows_every_word_of_the_units(tmp_path: Path) -> None:
    units = _files_on(tmp_path, ".service", ".path", ".target")
    for unit in units:
        # What it would execute is not on this machine.
        text = Path(unit).read_text()
        Path(unit).write_text(
            text.replace("=-/usr/bin/docker", "=-/bin/true").replace("/usr/local/lib/sdfleet/", "/bin/true ")
        )
    checked = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    ours = [line for line in checked.stderr.splitlines() if "sdfleet" in line and "not found" not in line]
    assert ours == []


def _files_on(directory: Path, *suffixes: str) -> list[str]:
    made = []
    for path, content in written_files(fleet_template().user_data()).items():
        if path.endswith(suffixes):
            file = directory / Path(path).name
            file.write_text(content)
            made.append(str(file))
    assert made
    return made


def _environ() -> dict[str, str]:
    lines = written_files(fleet_template().user_data())["/etc/sdfleet/scheduler.env"].splitlines()
    return dict(line.split("=", 1) for line in lines)


def _instance_settings(**settings: Any) -> dict[str, str]:
    lines = written_files(fleet_template(**settings).user_data())["/etc/sdfleet/instance.env"].splitlines()
    return dict(line.split("=", 1) for line in lines)
