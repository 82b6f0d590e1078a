"""What differs between regions: defaults, and what cannot be had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sdfleet.config import Config, FleetConfig, RuntimeConfig, load_for, partition_of, placed
from sdfleet.config.regions import CHINA_INSTANCE_TYPES, region_problems
from sdfleet.domain.task import RuntimeType
from sdfleet.errors import ConfigError

NINGXIA = "cn-northwest-1"


def a_config(**keys: Any) -> Config:
    return Config.model_validate(keys)


def a_fleet(**keys: Any) -> Config:
    return a_config(modelsRuntime=[{"name": "a", "type": "comfyui", "fleet": keys}])


def a_domain(region: str, partition: str = "aws") -> dict[str, str]:
    return {
        "name": "images.example.com",
        "certificateArn": f"arn:{partition}:acm:{region}:123456789012:certificate/0123-4567",
    }


def problems(config: Config, region: str, **options: Any) -> list[str]:
    return [problem.text for problem in region_problems(config, region, **options)]


@pytest.mark.parametrize(
    ("region", "partition"),
    [("us-west-2", "aws"), (NINGXIA, "aws-cn"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")],
)
def test_a_region_belongs_to_a_partition(region: str, partition: str) -> None:
    assert partition_of(region) == partition


def test_elsewhere_there_are_api_and_cdn() -> None:
    config = placed(Config(), "eu-west-1")
    assert (config.api, config.outputs.cdn, config.region) == (True, True, "eu-west-1")
    assert config.runtimes[0].fleet.instance_types == FleetConfig().instance_types


def test_in_china_the_defaults_are_what_there_is() -> None:
    config = placed(Config(), NINGXIA)
    assert (config.has_api, config.has_cdn) == (False, False)
    assert config.runtimes[0].fleet.instance_types == CHINA_INSTANCE_TYPES
    assert len(CHINA_INSTANCE_TYPES) >= 4


def test_a_licensed_domain_gives_china_its_api() -> None:
    config = a_config(domainName=a_domain(NINGXIA, "aws-cn"))
    assert placed(config, NINGXIA).has_api


def test_what_was_chosen_is_not_changed() -> None:
    config = a_config(api=False, outputs={"cdn": False})
    assert (placed(config, "us-east-1").has_api, placed(config, "us-east-1").has_cdn) == (False, False)
    assert placed(a_fleet(instanceTypes=["g4dn.xlarge"]), NINGXIA).runtimes[0].fleet.instance_types == ("g4dn.xlarge",)


def test_a_bucket_of_the_users_own_has_no_cdn() -> None:
    config = placed(a_config(outputs={"bucketName": "my-pictures"}), "us-east-1")
    assert not config.has_cdn
    # It stands up to being read again, as with another name (`cdk deploy -c deploymentId=...`).
    assert Config.model_validate(dict(config)) == config


@pytest.mark.parametrize("instance_type", ["g5.xlarge", "g6.2xlarge", "g6e.xlarge"])
def test_types_that_china_lacks_are_refused_there(instance_type: str) -> None:
    (problem,) = problems(a_fleet(instanceTypes=["g4dn.xlarge", instance_type]), NINGXIA)
    assert problem == (
        f"modelsRuntime[0].fleet.instanceTypes[1] is {instance_type}, which {NINGXIA} does not offer;"
        " use others, such as g4dn.xlarge"
    )
    assert problems(a_fleet(instanceTypes=["g4dn.xlarge", instance_type]), "us-east-1") == []


def test_what_the_region_itself_says_it_offers_counts_for_more() -> None:
    assert problems(a_fleet(instanceTypes=["g5.xlarge"]), NINGXIA, offered={"g5.xlarge"}) == []
    assert problems(a_fleet(instanceTypes=["g5.xlarge"]), "eu-south-1", offered={"g4dn.xlarge"})


def test_defaults_that_the_region_does_not_offer_are_left_out() -> None:
    config = placed(Config(), "eu-south-1", offered={"g4dn.xlarge", "g4dn.2xlarge", "m5.large"})
    assert config.runtimes[0].fleet.instance_types == ("g4dn.xlarge", "g4dn.2xlarge")


def test_an_api_with_keys_needs_a_licence_in_china() -> None:
    (problem,) = problems(a_config(api=True), NINGXIA)
    assert problem.startswith("api is true; without an ICP licence")


def test_a_cdn_needs_a_licence_in_china() -> None:
    (problem,) = problems(a_config(outputs={"cdn": True}), NINGXIA)
    assert problem.startswith("outputs.cdn is true; in cn-northwest-1 CloudFront")


@pytest.mark.parametrize(("arn", "region"), [("arn:aws:s3:::models", NINGXIA), ("arn:aws-cn:s3:::models", "us-east-1")])
def test_a_model_bucket_is_in_the_regions_partition(arn: str, region: str) -> None:
    (problem,) = problems(a_config(modelBucketArn=arn), region)
    assert f"in {region} it must begin with arn:{partition_of(region)}:s3" in problem


def test_a_certificate_is_in_the_region() -> None:
    assert problems(a_config(domainName=a_domain("us-east-1")), "us-east-1") == []
    (problem,) = problems(a_config(domainName=a_domain("us-east-1")), "us-west-2")
    assert problem.endswith("it must be in us-west-2, request the certificate there")


def test_zones_are_the_regions() -> None:
    assert problems(a_fleet(zones=["us-west-2a", "us-west-2-lax-1a"]), "us-west-2") == []
    assert problems(a_fleet(zones=["us-west-2a"]), "us-east-1") == [
        "modelsRuntime[0].fleet.zones[0] is us-west-2a, which is not in us-east-1"
    ]


def test_a_custom_runtime_needs_an_image_to_be_deployed_but_not_to_run_here() -> None:
    config = Config(runtimes=(RuntimeConfig(name="a", type=RuntimeType.CUSTOM),))
    assert problems(config, "us-east-1") == [
        "modelsRuntime[0].images.runtime is missing; a custom runtime needs the image of its server"
    ]


def test_without_internet_images_come_from_ecr() -> None:
    def with_image(image: str) -> Config:
        runtime = {"name": "a", "type": "comfyui", "images": {"runtime": image}}
        return a_config(network={"egress": "endpoints"}, modelsRuntime=[runtime])

    assert problems(with_image("123456789012.dkr.ecr.us-east-1.amazonaws.com/comfyui:1"), "us-east-1") == []
    assert "with egress endpoints only" in problems(with_image("ghcr.io/a/comfyui:1"), "us-east-1")[0]


def test_problems_of_a_region_have_lines(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("stackName: a\nmodelBucketArn: arn:aws:s3:::models\napi: true\n")
    with pytest.raises(ConfigError) as caught:
        load_for(file, NINGXIA)
    assert [line.split(": ")[0] for line in str(caught.value).splitlines()] == [f"{file}:2", f"{file}:3"]


@pytest.mark.parametrize("region", ["us-east-1", NINGXIA, "eu-south-1"])
def test_the_shipped_file_fits_every_region(region: str) -> None:
    shipped = Path(__file__).parents[2] / "config" / "config.yaml"
    assert load_for(shipped, region) == placed(Config(), region)


def test_the_files_own_region_is_taken_unless_another_is_named(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(f"region: {NINGXIA}\n")
    assert load_for(file).region == NINGXIA
    assert load_for(file, "us-east-1").region == "us-east-1"


def test_without_any_region_the_file_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("stackName: a\n")
    assert load_for(file) == Config(stack_name="a")


def test_problems_without_a_file_are_lines_too() -> None:
    with pytest.raises(ConfigError, match=r"^api is true; .*\.$"):
        placed(a_config(api=True), NINGXIA)
