"""A configuration of the EKS guidance becomes one of ours. The examples are those of its documents and repository."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from sdfleet.config import Config
from sdfleet.config.conversion import Conversion, convert
from sdfleet.config.regions import CHINA_INSTANCE_TYPES, placed

#: "Deploying in AWS China Regions" of the guidance's documents.
CHINA = """\
stackName: sdoneks
modelBucketArn: arn:aws-cn:s3:::${MODEL_BUCKET}  # Change aws to aws-cn in this ARN
APIGW:
  stageName: dev
  throttle:
    rateLimit: 30
    burstLimit: 50
modelsRuntime:
- name: sdruntime
  namespace: "default"
  modelFilename: "v1-5-pruned-emaonly.safetensors"
  dynamicModel: false
  type: sdwebui
  extraValues:
    runtime:
      inferenceApi:
        image:
          repository: 123456789012.dkr.ecr.cn-northwest-1.amazonaws.com.cn/sd-on-eks/sdwebui
          tag: latest
      queueAgent:
        image:
          repository: 123456789012.dkr.ecr.cn-northwest-1.amazonaws.com.cn/sd-on-eks/queue-agent
          tag: latest
    karpenter:
      nodeTemplate:
        amiFamily: Bottlerocket
        dataVolume:
          volumeSize: 80Gi
          volumeType: gp3
          deleteOnTermination: true
          iops: 4000
          throughput: 1000
          snapshotID: snap-1234567890
      provisioner:
        instanceType:
        - "g5.xlarge"
        - "g4dn.xlarge"
        - "g5.2xlarge"
        - "g4dn.2xlarge"
        capacityType:
          onDemand: true
          spot: true
      scaling:
        queueLength: 10
        minReplicaCount: 0
        maxReplicaCount: 5
        cooldownPeriod: 300
"""
#: "Set custom image" of the guidance's documents.
CUSTOM_IMAGE = """\
modelsRuntime:
- name: "sdruntime"
  namespace: "default"
  type: "sdwebui"
  modelFilename: "v1-5-pruned-emaonly.safetensors"
  dynamicModel: false
  chartRepository: ""
  chartVersion: ""
  extraValues:
    runtime:
      inferenceApi:
        image:
          repository: <account_id>.dkr.ecr.<region>.amazonaws.com/sd-on-eks/sdwebui
          tag: latest
      queueAgent:
        image:
          repository: <account_id>.dkr.ecr.<region>.amazonaws.com/sd-on-eks/queue-agent
          tag: latest
"""
#: "Set EBS snapshot-based image cache" of the guidance's documents.
SNAPSHOT = """\
modelsRuntime:
- name: "sdruntime"
  namespace: "default"
  type: "sdwebui"
  modelFilename: "v1-5-pruned-emaonly.safetensors"
  extraValues:
    karpenter:
      nodeTemplate:
        amiFamily: Bottlerocket
        dataVolume:
          snapshotID: snap-0123456789
"""
#: "Using ECR Image Repository" of the guidance's documents.
OWN_CHART = """\
modelsRuntime:
- name: sdruntime
  namespace: default
  type: sdwebui
  modelFilename: v1-5-pruned-emaonly.safetensors
  chartRepository: "oci://123456789012.dkr.ecr.us-east-1.amazonaws.com/sd-on-eks/charts/sd-on-eks"
  chartVersion: "1.1.0"
"""
#: The guidance's repository, config.yaml.
OF_THE_REPOSITORY = """\
stackName: sdoneks
modelBucketArn: arn:aws:s3:::dummy-bucket
APIGW:
  stageName: dev
  throttle:
    rateLimit: 30
    burstLimit: 50
modelsRuntime:
- name: sdruntime
  namespace: default
  modelFilename: v1-5-pruned-emaonly.safetensors
  dynamicModel: false
  type: sdwebui
  extraValues:
    karpenter:
      nodeTemplate:
        amiFamily: Bottlerocket
      provisioner:
        instanceType:
        - g6.xlarge
        - g6.2xlarge
        capacityType:
          onDemand: true
          spot: true
    runtime:
      scaling:
        queueLength: 10
        minReplicaCount: 0
        cooldownPeriod: 300
"""
#: An older one, of a workshop: with types in capitals and the section of the dynamic runtime.
OLDER = """\
stackName: "SdOnEks"
modelBucketArn: ''
modelsRuntime:
- name: "sdruntime"
  namespace: "default"
  type: "SDWebUI"
  modelFilename: "v1-5-pruned-emaonly.safetensors"
  extraValues:
    karpenter:
      provisioner:
        instanceType:
        - "g4dn.xlarge"
        - "g4dn.2xlarge"
        capacityType:
          onDemand: true
          spot: true
    runtime:
      scaling:
        queueLength: 20
        minReplicaCount: 1
        maxReplicaCount: 5
        cooldownPeriod: 100
dynamicModelRuntime:
  enabled: true
  namespace: "default"
  extraValues:
    karpenter:
      provisioner:
        instanceType:
        - "g4dn.xlarge"
        capacityType:
          onDemand: true
          spot: false
"""
EXAMPLES = {
    "china": CHINA,
    "custom image": CUSTOM_IMAGE,
    "snapshot": SNAPSHOT,
    "own chart": OWN_CHART,
    "repository": OF_THE_REPOSITORY,
    "older": OLDER,
}
#: Keys whose values stand in the new file, under the same name or another.
CARRIED_OVER = {
    "stackName",
    "modelBucketArn",
    "stageName",
    "rateLimit",
    "burstLimit",
    "name",
    "modelFilename",
    "dynamicModel",
    "type",
    "repository",
    "tag",
    "volumeSize",
    "volumeType",
    "iops",
    "throughput",
    "snapshotID",
    "instanceType",
    "onDemand",
    "spot",
    "queueLength",
    "minReplicaCount",
    "maxReplicaCount",
    "cooldownPeriod",
    "enabled",
}


def converted(text: str) -> Conversion:
    return convert(yaml.safe_load(text))


def config_of(text: str) -> Config:
    conversion = converted(text)
    assert conversion.problems == ()
    return Config.model_validate(conversion.values)


def notes_of(text: str) -> str:
    return "\n".join(note.text for note in converted(text).notes)


def one_runtime(extra: Mapping[str, Any], **keys: Any) -> str:
    runtime = {"name": "a", "type": "sdwebui", "modelFilename": "m.ckpt", **keys, "extraValues": extra}
    return yaml.safe_dump({"modelsRuntime": [runtime]})


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        for index, item in enumerate(value):
            yield from leaves(item, (*path, index))
    elif value != "":
        yield path


@pytest.mark.parametrize("name", EXAMPLES)
def test_nothing_disappears_in_silence(name: str) -> None:
    noted = [note.path for note in converted(EXAMPLES[name]).notes]
    silent = [
        leaf
        for leaf in leaves(yaml.safe_load(EXAMPLES[name]))
        if not any(leaf[: len(path)] == path for path in noted) and leaf[-1] not in CARRIED_OVER
    ]
    assert silent == []


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name not in ("china", "custom image")])
def test_an_example_without_placeholders_is_ready_for_use(name: str) -> None:
    assert config_of(EXAMPLES[name]).runtimes[0].name == "sdruntime"


def test_what_both_have_stays_as_it_is() -> None:
    config = config_of(OF_THE_REPOSITORY)
    assert (config.stack_name, config.model_bucket, config.api_gateway.stage_name) == ("sdoneks", "dummy-bucket", "dev")
    assert (config.runtimes[0].model_filename, config.runtimes[0].dynamic_model) == (
        "v1-5-pruned-emaonly.safetensors",
        False,
    )


def test_karpenter_and_keda_become_a_fleet() -> None:
    fleet = config_of(OF_THE_REPOSITORY).runtimes[0].fleet
    assert fleet.instance_types == ("g6.xlarge", "g6.2xlarge")
    assert (fleet.min_size, fleet.on_demand_percentage, fleet.scaling.cooldown_s) == (0, 0, 300)


def test_a_placeholder_is_named_once_as_something_to_fill_in() -> None:
    problems = [problem.text for problem in converted(CUSTOM_IMAGE).problems]
    assert problems == [
        "modelsRuntime[0].images.runtime holds the placeholder <account_id>; put yours in its place",
    ]


def test_chinas_example_can_be_deployed_in_china_once_its_bucket_is_named() -> None:
    config = placed(config_of(CHINA.replace("${MODEL_BUCKET}", "my-models")), "cn-northwest-1")
    assert config.model_bucket == "my-models"
    assert (config.has_api, config.has_cdn) == (False, False)
    assert config.runtimes[0].fleet.instance_types == ("g4dn.xlarge", "g4dn.2xlarge")
    assert "names g5.xlarge, g5.2xlarge, which China does not offer" in notes_of(CHINA)


def test_where_china_has_none_of_the_types_its_own_are_taken() -> None:
    text = CHINA.replace("${MODEL_BUCKET}", "m00").replace('- "g4dn.xlarge"', "").replace('- "g4dn.2xlarge"', "")
    assert placed(config_of(text), "cn-north-1").runtimes[0].fleet.instance_types == CHINA_INSTANCE_TYPES


def test_the_data_volume_becomes_the_instances_volume() -> None:
    volume = config_of(CHINA.replace("${MODEL_BUCKET}", "my-models")).runtimes[0].fleet.volume
    assert (volume.size_gib, volume.type, volume.iops, volume.throughput) == (80, "gp3", 4000, 1000)
    assert volume.snapshot_id == "snap-1234567890"


@pytest.mark.parametrize(("size", "gib"), [("80Gi", 80), ("1Ti", 1024), ("100G", 94), ("10Gi", 20)])
def test_a_kubernetes_size_becomes_whole_gibibytes(size: str, gib: int) -> None:
    text = one_runtime({"karpenter": {"nodeTemplate": {"dataVolume": {"volumeSize": size}}}})
    assert config_of(text).runtimes[0].fleet.volume.size_gib == gib


def test_a_volume_that_is_not_gp3_has_no_throughput() -> None:
    text = one_runtime({"karpenter": {"nodeTemplate": {"dataVolume": {"volumeType": "gp2"}}}})
    assert config_of(text).runtimes[0].fleet.volume.throughput is None


def test_the_queue_agents_image_is_not_taken_for_our_schedulers() -> None:
    assert converted(CHINA).values["modelsRuntime"][0]["images"].keys() == {"runtime"}
    assert "queueAgent has no counterpart: the api-scheduler takes the queue agent's place" in notes_of(CHINA)


def test_the_guidances_webui_image_gets_what_its_chart_gave_it() -> None:
    runtime = converted(CHINA).values["modelsRuntime"][0]
    assert runtime["port"] == 8080
    assert runtime["environment"]["SD_MODEL_CHECKPOINT"] == "v1-5-pruned-emaonly.safetensors"


def test_command_line_arguments_are_taken_apart_as_a_shell_would() -> None:
    text = one_runtime({"runtime": {"inferenceApi": {"commandArguments": "--medvram --ui-config 'a b'"}}})
    assert config_of(text).runtimes[0].arguments == ("--medvram", "--ui-config", "a b")


def test_environment_variables_are_kept() -> None:
    text = one_runtime({"runtime": {"inferenceApi": {"extraEnv": {"A": "1"}}}})
    assert config_of(text).runtimes[0].environment == {"A": "1"}


def test_kedas_target_becomes_the_bounds_of_the_steps() -> None:
    steps = config_of(OLDER).runtimes[0].fleet.scaling.steps
    assert [(step.from_messages, step.add_instances) for step in steps] == [(0, 0), (20, 1), (100, 2), (201, 3)]


def test_a_cooldown_becomes_whole_minutes() -> None:
    assert config_of(OLDER).runtimes[0].fleet.scaling.cooldown_s == 120
    assert "cooldownPeriod is 100; it becomes 120, whole minutes" in notes_of(OLDER)


def test_the_charts_own_maximum_is_named_where_the_file_has_none() -> None:
    assert "maxReplicaCount is not set: the guidance's chart then allows 20, a fleet 5" in notes_of(OF_THE_REPOSITORY)


def test_the_older_section_of_the_dynamic_runtime_becomes_a_runtime() -> None:
    static, dynamic = config_of(OLDER).runtimes
    assert (static.type, dynamic.name, dynamic.dynamic_model) == ("sdwebui", "dynamic", True)
    assert dynamic.fleet.on_demand_percentage == 100


def test_a_dynamic_runtime_that_is_switched_off_is_left_out() -> None:
    conversion = converted(OLDER.replace("enabled: true", "enabled: false"))
    assert len(conversion.values["modelsRuntime"]) == 1


def test_tags_of_the_nodes_become_the_deployments() -> None:
    text = one_runtime({"karpenter": {"nodeTemplate": {"tags": {"team": "art"}}}})
    assert config_of(text).tags == {"team": "art"}


def test_what_is_no_key_of_the_guidance_either_is_said_so() -> None:
    assert "modelsRuntime[0].replicaz has no counterpart: it is no key of the EKS guidance that we know" in notes_of(
        one_runtime({}, replicaz=3)
    )


@pytest.mark.parametrize("values", [{}, {"modelsRuntime": None}, {"modelsRuntime": ["x"]}, {"modelsRuntime": [{}]}])
def test_a_file_that_is_none_of_the_guidances_is_no_crash(values: dict[str, Any]) -> None:
    assert isinstance(convert(values), Conversion)
