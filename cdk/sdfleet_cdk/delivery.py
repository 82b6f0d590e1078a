"""Links to outputs through CloudFront: only signed ones, for the keys of results can be guessed.

The key pair is EC2's: CloudFormation makes it without anybody seeing the private half, which EC2 puts into a
SecureString of SSM (EC2 User Guide, "Create a key pair using CloudFormation"). No instance uses it.
"""

from __future__ import annotations

from datetime import timedelta

import aws_cdk as cdk
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from sdfleet.config import Config
from sdfleet.domain import names
from sdfleet_cdk import nag
from sdfleet_cdk.context import SignedLinks
from sdfleet_cdk.handlers import Handler, HandlerCode
from sdfleet_cdk.permissions import Permission
from sdfleet_cdk.region import Region

_DOMAIN_NAME = "domain-name"
_KEY_PAIR_ID = "key-pair-id"
#: EC2's id of the pair; part of the private key's path.
_PAIR = "ec2-key-pair-id"
#: One call to EC2, with its repetitions.
_KEY_TIMEOUT = timedelta(seconds=30)
#: After this CloudFormation gives up on the function's answer; its own default is an hour.
_ANSWER_TIMEOUT = timedelta(minutes=2)

_ACKNOWLEDGED = {
    "CFR1": "Who may see a picture is decided by its link, wherever they are.",
    "CFR2": "A web ACL costs more a month than all else of an idle deployment, and without a valid signature CloudFront"
    " answers 403 by itself.",
    "CFR3": "Access logs would keep signed links; CloudFront's metrics count requests and errors.",
    "CFR4": "CloudFront's own domain name comes with CloudFront's certificate and its TLS settings.",
    "CFR7": "The origin has an origin access control; the rule does not see it.",
}


class Delivery(Construct):
    """The distribution, and in SSM what signing its links takes."""

    def __init__(
        self, scope: Construct, construct_id: str, *, config: Config, region: Region, bucket: s3.IBucket
    ) -> None:
        super().__init__(scope, construct_id)
        deployment_id = config.stack_name
        pair = ec2.CfnKeyPair(self, "KeyPair", key_name=f"{deployment_id}-links", key_type="rsa", key_format="pem")
        public_key = cloudfront.PublicKey(
            self,
            "PublicKey",
            public_key_name=f"{deployment_id}-links",
            encoded_key=self._public_key(pair.attr_key_pair_id, config, region),
            comment="Signs links to outputs",
        )
        group = cloudfront.KeyGroup(self, "KeyGroup", key_group_name=f"{deployment_id}-links", items=[public_key])
        distribution = cloudfront.Distribution(
            self,
            "Distribution",
            comment=f"{deployment_id}: outputs",
            default_behavior=cloudfront.BehaviorOptions(
                origin=origins.S3BucketOrigin.with_origin_access_control(bucket),
                trusted_key_groups=[group],
                viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.HTTPS_ONLY,
                cache_policy=cloudfront.CachePolicy.CACHING_OPTIMIZED,
            ),
            http_version=cloudfront.HttpVersion.HTTP2_AND_3,
        )
        nag.acknowledge(distribution, _ACKNOWLEDGED)
        for name, value in (
            (_DOMAIN_NAME, distribution.distribution_domain_name),
            (_KEY_PAIR_ID, public_key.public_key_id),
            (_PAIR, pair.attr_key_pair_id),
        ):
            ssm.CfnParameter(
                self,
                f"{name.title().replace('-', '')}Parameter",
                type="String",
                name=names.link_parameter(deployment_id, name),
                value=value,
            )

    def _public_key(self, key_pair_id: str, config: Config, region: Region) -> str:
        code = HandlerCode(
            module="link_key",
            description="Reads the public key that links are checked with",
            memory=256,
            timeout=_KEY_TIMEOUT,
            permissions=(
                Permission(
                    "ReadPublicKey",
                    ("ec2:DescribeKeyPairs",),
                    ("*",),
                    reason="The call has no resources to name (Service Authorization Reference); keys are public.",
                ),
            ),
        )
        handler = Handler(self, "LinkKey", code=code, config=config, region=region)
        key = cdk.CustomResource(
            self,
            "PublicKeyText",
            resource_type="Custom::LinkPublicKey",
            service_token=handler.function.function_arn,
            service_timeout=cdk.Duration.seconds(int(_ANSWER_TIMEOUT.total_seconds())),
            properties={"KeyPairId": key_pair_id},
        )
        return key.get_att_string("PublicKey")


def signed_links(scope: Construct, deployment_id: str) -> SignedLinks:
    """What the foundation stack's `Delivery` has written, as it is when the other stack is deployed."""

    def value(name: str) -> str:
        return ssm.StringParameter.value_for_string_parameter(scope, names.link_parameter(deployment_id, name))

    return SignedLinks(
        domain_name=value(_DOMAIN_NAME),
        key_pair_id=value(_KEY_PAIR_ID),
        private_key_parameter=f"/ec2/keypair/{value(_PAIR)}",
    )
