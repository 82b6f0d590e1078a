"""Links through the CDN, checked as CloudFront checks them."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from urllib.parse import parse_qs, unquote, urlsplit

import boto3
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from moto import mock_aws

from builders import NOON
from sdfleet.aws.artifact_store import S3ArtifactStore
from sdfleet.aws.clients import Clients
from sdfleet.aws.signed_links import CloudFrontLinks
from sdfleet.environment import LinkEnvironment
from sdfleet.errors import ConfigError
from sdfleet.memory.clock import FakeClock
from sdfleet_lambdas import link_key

ENVIRONMENT = LinkEnvironment("d111.cloudfront.net", "K2JCJMDEHXQW5F", "/ec2/keypair/key-1")
EVENT = {
    "RequestType": "Create",
    "StackId": "stack",
    "RequestId": "request",
    "LogicalResourceId": "PublicKeyText",
    "ResponseURL": "https://answers.example/",
}


@pytest.fixture(autouse=True)
def _an_account(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "none")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none")
    with mock_aws():
        yield


def links_signed_by(private_key: str, clients: Clients) -> S3ArtifactStore:
    clients.ssm.put_parameter(Name=ENVIRONMENT.private_key_parameter, Value=private_key, Type="SecureString")
    links = CloudFrontLinks(clients.ssm, ENVIRONMENT, bucket="pictures", clock=FakeClock(NOON))
    return S3ArtifactStore(clients.s3, links=links)


def a_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem_of(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    ).decode()


def test_a_link_is_signed_for_its_object_until_its_end() -> None:
    key = a_key()
    store = links_signed_by(pem_of(key), Clients())
    link = urlsplit(store.link("s3://pictures/my output/a/a-abcd-1.png", lifetime=timedelta(hours=1)))
    query = {name: values[0] for name, values in parse_qs(link.query).items()}
    resource = f"https://{link.netloc}{link.path}"
    expires = int((NOON + timedelta(hours=1)).timestamp())
    # CloudFront builds the canned policy anew from the request (Developer Guide).
    policy = {"Statement": [{"Resource": resource, "Condition": {"DateLessThan": {"AWS:EpochTime": expires}}}]}
    signature = base64.b64decode(query["Signature"].translate(str.maketrans("-_~", "+=/")))
    key.public_key().verify(
        signature, json.dumps(policy, separators=(",", ":")).encode(), padding.PKCS1v15(), hashes.SHA1()
    )
    assert (query["Key-Pair-Id"], query["Expires"]) == (ENVIRONMENT.key_pair_id, str(expires))
    assert (link.netloc, unquote(link.path)) == (ENVIRONMENT.domain_name, "/my output/a/a-abcd-1.png")


def test_other_buckets_links_stay_presigned() -> None:
    store = links_signed_by(pem_of(a_key()), Clients())
    assert "X-Amz-Signature" in store.link("s3://elsewhere/a.png", lifetime=timedelta(hours=1))


def test_a_parameter_that_holds_no_key_is_named() -> None:
    store = links_signed_by("no key", Clients())
    with pytest.raises(ConfigError, match="/ec2/keypair/key-1"):
        store.link("s3://pictures/a.png", lifetime=timedelta(hours=1))


def test_cloudformation_is_told_the_public_key_of_the_pair() -> None:
    pair = boto3.client("ec2").create_key_pair(KeyName="links", KeyType="rsa")
    event = {**EVENT, "ResourceProperties": {"KeyPairId": pair["KeyPairId"]}}
    told = link_key.answer(event, Clients())
    public = serialization.load_pem_public_key(told["Data"]["PublicKey"].encode())
    private = serialization.load_pem_private_key(pair["KeyMaterial"].encode(), None)
    assert isinstance(private, rsa.RSAPrivateKey)
    assert told["Status"] == "SUCCESS"
    assert public == private.public_key()
    assert told["PhysicalResourceId"] == pair["KeyPairId"]


def test_cloudformation_is_told_of_a_pair_that_is_not_there() -> None:
    told = link_key.answer({**EVENT, "ResourceProperties": {"KeyPairId": "key-0123456789abcdef0"}}, Clients())
    assert told["Status"] == "FAILED"
    assert "key-0123456789abcdef0" in told["Reason"]


def test_a_pair_that_goes_needs_no_key() -> None:
    event = {**EVENT, "RequestType": "Delete", "ResourceProperties": {"KeyPairId": "gone"}}
    assert link_key.answer(event, Clients())["Status"] == "SUCCESS"
