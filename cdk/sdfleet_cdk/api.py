"""The REST API: key, usage plan, and every path and method answered by the handler."""

from __future__ import annotations

import json
import math
from http import HTTPStatus
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_route53 as route53
from aws_cdk import aws_xray as xray
from constructs import Construct

from sdfleet.config import DomainNameConfig
from sdfleet.domain import names
from sdfleet_cdk import nag
from sdfleet_cdk.context import DeploymentContext
from sdfleet_cdk.functions import API_TIMEOUT

#: Documents that are readable without a key (wire contract, Discovery).
OPEN_PATHS = ("health", "openapi.json")
#: Before X-Ray's own rule, which is the last, and after what an operator sets up for a search.
_TRACE_PRIORITY = 9000
#: Nobody sets a quota here; where an operator adds one to the plan, its period is a day at least.
_QUOTA_RETRY_S = 3600

_TOO_MANY = "Too many requests; try again after the seconds in Retry-After."
_NO_KEY = "Send the API key in the header x-api-key."
#: What the gateway answers by itself (Developer Guide, "Gateway response types").
_PROBLEMS: tuple[tuple[str, HTTPStatus, str], ...] = (
    ("INVALID_API_KEY", HTTPStatus.UNAUTHORIZED, _NO_KEY),
    ("UNAUTHORIZED", HTTPStatus.UNAUTHORIZED, _NO_KEY),
    ("MISSING_AUTHENTICATION_TOKEN", HTTPStatus.UNAUTHORIZED, _NO_KEY),
    ("THROTTLED", HTTPStatus.TOO_MANY_REQUESTS, _TOO_MANY),
    ("QUOTA_EXCEEDED", HTTPStatus.TOO_MANY_REQUESTS, _TOO_MANY),
    (
        "REQUEST_TOO_LARGE",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "The request body is larger than 10 MiB. Send large inputs through POST /v1alpha2/uploads.",
    ),
    ("INTEGRATION_TIMEOUT", HTTPStatus.GATEWAY_TIMEOUT, "The service did not answer in time; try again."),
    ("INTEGRATION_FAILURE", HTTPStatus.BAD_GATEWAY, "The service could not handle the request; try again."),
    ("API_CONFIGURATION_ERROR", HTTPStatus.BAD_GATEWAY, "The service could not handle the request; try again."),
)
#: A line of the access log. Neither the key itself nor the query, which may hold what is nobody else's business.
_ACCESS_LOG = {
    name: f"$context.{variable}"
    for name, variable in (
        ("time", "requestTime"),
        ("request_id", "requestId"),
        ("caller", "identity.sourceIp"),
        ("key_id", "identity.apiKeyId"),
        ("method", "httpMethod"),
        ("path", "path"),
        ("status", "status"),
        ("refused", "error.responseType"),
        ("answer_bytes", "responseLength"),
        ("milliseconds", "responseLatency"),
        ("handler_milliseconds", "integrationLatency"),
    )
}
_NO_ACCESS_LOG = (
    "Access logs need one role for all APIs of the account and region, which is its owner's to set; then"
    " APIGW.accessLogs writes them. The handler logs every request with path, status and time; what the gateway refuses"
    " is in its 4XXError metric."
)
_ACKNOWLEDGED = {
    "APIG2": "The handler validates: it answers with every bad field at once, which the gateway's validator cannot.",
    "APIG3": "A web ACL costs more a month than all else of an idle deployment. The API has keys, limits and no"
    " browser's session; whoever needs one associates it with the stage.",
    "APIG4": "API keys are the contract that existing clients have; /health and /openapi.json tell no secret.",
    "APIG6": "Execution logs need the same role for all APIs of the account, and could show prompts.",
    "COG4": "API keys are the contract that existing clients have; there are no users to sign in.",
}


class FrontApi(Construct):
    def __init__(
        self, scope: Construct, construct_id: str, *, deployment: DeploymentContext, function: lambda_.IFunction
    ) -> None:
        super().__init__(scope, construct_id)
        config = deployment.config
        throttle = config.api_gateway.throttle
        self.api = apigateway.RestApi(
            self,
            "Api",
            rest_api_name=deployment.deployment_id,
            description="sdfleet: pictures from text",
            endpoint_types=[apigateway.EndpointType.REGIONAL],
            cloud_watch_role=False,
            deploy_options=apigateway.StageOptions(
                stage_name=config.api_gateway.stage_name,
                tracing_enabled=deployment.region.has_lambda_tracing,
                # For each method by itself, so that who has no key cannot use up the limit of those who have one.
                throttling_rate_limit=throttle.rate_limit,
                throttling_burst_limit=throttle.burst_limit,
                **self._access_log(deployment),
            ),
        )
        if deployment.region.has_lambda_tracing:
            self._sample_traces(deployment)
        # CDK's own output of the same address, under a name of its own.
        self.api.node.try_remove_child("Endpoint")
        self._add_methods(function)
        _add_problems(self.api, rate=throttle.rate_limit)
        self.key = self._add_key(deployment.deployment_id, rate=throttle.rate_limit, burst=throttle.burst_limit)
        has_log = config.api_gateway.access_logs
        nag.acknowledge(self, _ACKNOWLEDGED if has_log else {**_ACKNOWLEDGED, "APIG1": _NO_ACCESS_LOG})
        #: Ends in a slash, as the contract's paths are appended to it.
        self.endpoint = self.api.url
        #: Where a domain's own record has to point; None: there is none, or we have made it.
        self.domain_target: str | None = None
        if config.domain_name is not None:
            self._add_domain(config.domain_name)

    @property
    def get_key_command(self) -> str:
        """Prints the API key; the seed documents' own words."""
        return (
            f"aws apigateway get-api-keys --query 'items[?id==`{self.key.key_id}`].value' --include-values"
            f" --output text --region {cdk.Stack.of(self).region}"
        )

    def _sample_traces(self, deployment: DeploymentContext) -> None:
        """X-Ray's own rule takes a request a second as well, which is 5 USD for a million that come one by one."""
        gateway = deployment.config.api_gateway
        xray.CfnSamplingRule(
            self,
            "Traces",
            sampling_rule=xray.CfnSamplingRule.SamplingRuleProperty(
                rule_name=deployment.deployment_id,
                version=1,
                priority=_TRACE_PRIORITY,
                fixed_rate=gateway.traced_percentage / 100,
                # Requests a second before the rate: at 1, up to 2.6 million traces a month.
                reservoir_size=0,
                # A stage of API Gateway is a service by this name (API Gateway Developer Guide, "Configure AWS X-Ray
                # sampling rules for API Gateway APIs").
                service_name=f"{deployment.deployment_id}/{gateway.stage_name}",
                service_type="*",
                host="*",
                http_method="*",
                url_path="*",
                resource_arn="*",
            ),
        )

    def _access_log(self, deployment: DeploymentContext) -> dict[str, Any]:
        if not deployment.config.api_gateway.access_logs:
            return {}
        group = logs.CfnLogGroup(
            self,
            "AccessLog",
            log_group_name=names.access_log_group(deployment.deployment_id),
            retention_in_days=deployment.config.retention.log_days,
        )
        destination = logs.LogGroup.from_log_group_arn(self, "AccessLogDestination", group.attr_arn)
        return {
            "access_log_destination": apigateway.LogGroupLogDestination(destination),
            "access_log_format": apigateway.AccessLogFormat.custom(json.dumps(_ACCESS_LOG)),
        }

    def _add_methods(self, function: lambda_.IFunction) -> None:
        integration = apigateway.LambdaIntegration(
            function,
            timeout=cdk.Duration.seconds(int(API_TIMEOUT.total_seconds())),
            # One permission for all methods of the stage, rather than one for each.
            scope_permission_to_method=False,
        )
        self.api.root.add_method("ANY", integration, api_key_required=True)
        self.api.root.add_resource("{proxy+}").add_method("ANY", integration, api_key_required=True)
        for path in OPEN_PATHS:
            resource = self.api.root.add_resource(path)
            for method in ("GET", "HEAD"):
                resource.add_method(method, integration)
            resource.add_method("ANY", integration, api_key_required=True)

    def _add_key(self, deployment_id: str, *, rate: float, burst: int) -> apigateway.IApiKey:
        key = self.api.add_api_key("Key", api_key_name=deployment_id, description="Of all callers of this deployment")
        plan = self.api.add_usage_plan(
            "Plan",
            name=deployment_id,
            description="What API Gateway lets through, for everyone together",
            throttle=apigateway.ThrottleSettings(rate_limit=rate, burst_limit=burst),
            api_stages=[apigateway.UsagePlanPerApiStage(api=self.api, stage=self.api.deployment_stage)],
        )
        plan.add_api_key(key)
        return key

    def _add_domain(self, domain: DomainNameConfig) -> None:
        certificate = acm.Certificate.from_certificate_arn(self, "Certificate", domain.certificate_arn)
        own = self.api.add_domain_name(
            "Domain",
            domain_name=domain.name,
            certificate=certificate,
            endpoint_type=apigateway.EndpointType.REGIONAL,
            security_policy=apigateway.SecurityPolicy.TLS_1_2,
        )
        self.endpoint = f"https://{domain.name}/"
        if domain.hosted_zone_id is None:
            self.domain_target = own.domain_name_alias_domain_name
            return
        route53.CfnRecordSet(
            self,
            "DomainRecord",
            hosted_zone_id=domain.hosted_zone_id,
            name=domain.name,
            type="A",
            alias_target=route53.CfnRecordSet.AliasTargetProperty(
                dns_name=own.domain_name_alias_domain_name, hosted_zone_id=own.domain_name_alias_hosted_zone_id
            ),
        )


def _add_problems(api: apigateway.RestApi, *, rate: float) -> None:
    # A bucket that takes `rate` tokens a second has one again after this.
    waits = {"THROTTLED": max(1, math.ceil(1 / rate)), "QUOTA_EXCEEDED": _QUOTA_RETRY_S}
    for name, status, detail in _PROBLEMS:
        # [U] that the header replaces the template's own type; it was never tried on a live account.
        headers = {"Content-Type": "'application/problem+json'"}
        if name in waits:
            headers["Retry-After"] = f"'{waits[name]}'"
        body = {"type": "about:blank", "title": status.phrase, "status": int(status), "detail": detail, "errors": []}
        api.add_gateway_response(
            "".join(part.title() for part in name.split("_")),
            type=apigateway.ResponseType.of(name),
            status_code=str(int(status)),
            response_headers=headers,
            templates={"application/json": json.dumps(body)},
        )
