"""The API, the functions behind it and what a caller is told of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cdk_templates import flat, templates

METHOD = "AWS::ApiGateway::Method"
RESPONSE = "AWS::ApiGateway::GatewayResponse"


def responses() -> dict[str, Any]:
    return {kind: dict(one) for kind, one in templates("default").named(RESPONSE, "ResponseType").items()}


def paths() -> dict[str, list[tuple[str, bool]]]:
    """Methods and whether they need a key, by path."""
    made = templates("default")
    parts = {one.logical_id: f"/{one.properties['PathPart']}" for one in made.resources("AWS::ApiGateway::Resource")}
    found: dict[str, list[tuple[str, bool]]] = {}
    for one in made.resources(METHOD):
        path = parts.get(one.properties["ResourceId"].get("Ref"), "/")
        found.setdefault(path, []).append((one.properties["HttpMethod"], one.properties.get("ApiKeyRequired", False)))
    return {path: sorted(methods) for path, methods in found.items()}


def test_every_path_and_method_is_answered_by_the_handler_and_needs_a_key() -> None:
    assert paths()["/"] == paths()["/{proxy+}"] == [("ANY", True)]
    integrations = {one.properties["Integration"]["Type"] for one in templates("default").resources(METHOD)}
    assert integrations == {"AWS_PROXY"}


@pytest.mark.parametrize("path", ["/health", "/openapi.json"])
def test_two_documents_are_read_without_a_key_and_not_written(path: str) -> None:
    assert paths()[path] == [("ANY", True), ("GET", False), ("HEAD", False)]


def test_no_key_and_a_wrong_one_are_a_401_and_not_api_gateways_403() -> None:
    for kind in ("INVALID_API_KEY", "MISSING_AUTHENTICATION_TOKEN", "UNAUTHORIZED"):
        assert responses()[kind]["StatusCode"] == "401"


@pytest.mark.parametrize("kind", ["THROTTLED", "QUOTA_EXCEEDED"])
def test_who_is_throttled_is_told_when_to_come_again(kind: str) -> None:
    response = responses()[kind]
    assert response["StatusCode"] == "429"
    assert int(response["ResponseParameters"]["gatewayresponse.header.Retry-After"].strip("'")) >= 1


def test_what_the_gateway_refuses_by_itself_is_a_problem_document() -> None:
    for response in responses().values():
        problem = json.loads(response["ResponseTemplates"]["application/json"])
        assert set(problem) == {"type", "title", "status", "detail", "errors"}
        assert str(problem["status"]) == response["StatusCode"]
        content_type = response["ResponseParameters"]["gatewayresponse.header.Content-Type"]
        assert content_type == "'application/problem+json'"


def test_the_usage_plan_has_the_configured_limits_and_the_key() -> None:
    made = templates("default")
    (plan,) = made.resources("AWS::ApiGateway::UsagePlan")
    assert plan.properties["Throttle"] == {"RateLimit": 30, "BurstLimit": 50}
    (member,) = made.resources("AWS::ApiGateway::UsagePlanKey")
    assert member.properties["UsagePlanId"] == {"Ref": plan.logical_id}


def test_requests_without_a_key_are_limited_too() -> None:
    (stage,) = templates("default").resources("AWS::ApiGateway::Stage")
    (limits,) = stage.properties["MethodSettings"]
    assert (limits["HttpMethod"], limits["ResourcePath"]) == ("*", "/*")
    assert (limits["ThrottlingRateLimit"], limits["ThrottlingBurstLimit"]) == (30, 50)
    assert stage.properties["StageName"] == "prod"


def test_an_access_log_ends_and_holds_neither_keys_nor_queries() -> None:
    made = templates("two-runtimes")
    (stage,) = made.resources("AWS::ApiGateway::Stage")
    setting = stage.properties["AccessLogSetting"]
    line = json.loads(setting["Format"])
    assert {"time", "key_id", "method", "path", "status", "milliseconds"} <= set(line)
    told = set(line.values())
    assert not told & {"$context.identity.apiKey", "$context.requestOverride.querystring"}
    assert not [one for one in told if "query" in one.lower() or "body" in one.lower() or "header" in one.lower()]
    group = made.named("AWS::Logs::LogGroup", "LogGroupName")["/sdfleet/Pictures/api/access"]
    assert group["RetentionInDays"] == 30


def test_without_being_asked_for_there_is_no_access_log() -> None:
    (stage,) = templates("default").resources("AWS::ApiGateway::Stage")
    assert "AccessLogSetting" not in stage.properties


def test_the_functions_know_what_the_processes_read() -> None:
    functions = templates("default").named("AWS::Lambda::Function", "FunctionName")
    variables = functions["sdfleet-api"]["Environment"]["Variables"]
    assert set(variables) == {"SDFLEET_DEPLOYMENT", "SDFLEET_HANDLERS"}
    told = json.loads(flat(variables["SDFLEET_DEPLOYMENT"]))
    assert told["runtimes"][0]["queue_url"].endswith("/sdfleet-sdruntime")
    assert told["output_bucket"] == "sdfleet-output-<AWS::AccountId>-us-west-2"
    assert told["links"]["private_key_parameter"].startswith("/ec2/keypair/<")


def test_the_outputs_are_those_of_the_contract() -> None:
    outputs = templates("two-runtimes").outputs
    assert set(outputs) == {
        "FrontApiEndpoint",
        "GetAPIKeyCommand",
        "sdNotificationLambdaARN",
        "sdNotificationOutputArn",
        "OutputBucket",
        "CloudFrontDomain",
        "SdruntimeQueueUrl",
        "SdruntimeAutoScalingGroupName",
        "ComfyFlowQueueUrl",
        "ComfyFlowAutoScalingGroupName",
    }
    assert flat(outputs["FrontApiEndpoint"]).endswith("/")
    assert flat(outputs["GetAPIKeyCommand"]).startswith("aws apigateway get-api-keys --query 'items[?id==`<")
    assert flat(outputs["ComfyFlowQueueUrl"]).endswith("/Pictures-comfy-flow")


def test_without_an_api_there_is_nothing_of_one() -> None:
    made = templates("no-api")
    assert not [one for one in made.resources() if one.kind.startswith("AWS::ApiGateway")]
    assert "sdfleet-api" not in made.named("AWS::Lambda::Function", "FunctionName")
    assert "FrontApiEndpoint" not in made.outputs
    assert "sdNotificationLambdaARN" in made.outputs


def test_a_bucket_of_the_users_gets_no_policy_and_no_rules_of_ours() -> None:
    made = templates("no-api")
    assert [name for name in made.named("AWS::S3::Bucket", "BucketName") if "output" in name] == []
    assert made.outputs["OutputBucket"] == "my-pictures"


def test_china_has_nothing_that_is_not_to_be_had_there() -> None:
    made = templates("china")
    kinds = {one.kind for one in made.resources()}
    assert not [kind for kind in kinds if kind.startswith(("AWS::CloudFront", "AWS::ApiGateway", "AWS::XRay"))]
    assert not [one for one in made.resources("AWS::Lambda::Function") if "TracingConfig" in one.properties]
    assert not [one for one in made.resources("AWS::Lambda::EventSourceMapping") if "Tags" in one.properties]
    assert "xray" not in json.dumps(made.service)


def test_requests_are_traced_where_the_region_has_it() -> None:
    made = templates("default")
    assert all(one.properties["TracingEnabled"] is True for one in made.resources("AWS::ApiGateway::Stage"))
    functions = made.named("AWS::Lambda::Function", "FunctionName")
    assert functions["sdfleet-api"]["TracingConfig"] == {"Mode": "Active"}


def test_lambda_decides_of_no_request_whether_it_is_traced() -> None:
    functions = templates("default").named("AWS::Lambda::Function", "FunctionName")
    assert [name for name, one in functions.items() if "TracingConfig" in one] == ["sdfleet-api"]


def test_links_through_the_cdn_need_a_signature() -> None:
    made = templates("default")
    (distribution,) = made.resources("AWS::CloudFront::Distribution")
    config = distribution.properties["DistributionConfig"]
    (group,) = made.resources("AWS::CloudFront::KeyGroup")
    assert config["DefaultCacheBehavior"]["TrustedKeyGroups"] == [{"Ref": group.logical_id}]
    assert config["DefaultCacheBehavior"]["ViewerProtocolPolicy"] == "https-only"
    assert "OriginAccessControlId" in config["Origins"][0]


def test_only_pictures_and_their_bucket_outlive_a_deployment() -> None:
    made = templates("default")
    kept = [one for one in made.resources() if one.whole.get("DeletionPolicy", "Delete") != "Delete"]
    assert [flat(one.properties["BucketName"]) for one in kept if one.kind == "AWS::S3::Bucket"] == [
        "sdfleet-output-<AWS::AccountId>-us-west-2"
    ]
    assert {one.kind for one in kept} <= {"AWS::S3::Bucket", "AWS::ApiGateway::Account"}


def test_outputs_are_deleted_when_the_configuration_says_so() -> None:
    def expiry(variant: str) -> list[int]:
        buckets = templates(variant).named("AWS::S3::Bucket", "BucketName")
        (rules,) = [one["LifecycleConfiguration"]["Rules"] for name, one in buckets.items() if "-output-" in name]
        return [rule["ExpirationInDays"] for rule in rules if "ExpirationInDays" in rule]

    assert (expiry("default"), expiry("two-runtimes")) == ([], [90])


def test_the_users_tags_are_on_what_takes_tags() -> None:
    for kind in ("AWS::SQS::Queue", "AWS::S3::Bucket", "AWS::Lambda::Function"):
        for one in templates("two-runtimes").resources(kind):
            tags = {tag["Key"]: tag["Value"] for tag in one.properties["Tags"]}
            assert tags["team"] == "art"
            assert tags["sdfleet-deployment"] == "Pictures"
