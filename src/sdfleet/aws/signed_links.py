"""Links to outputs: through the CDN, signed by a key that CloudFront knows, or presigned by S3."""

from __future__ import annotations

import secrets
import threading
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

from botocore.signers import CloudFrontSigner

from sdfleet.aws.artifact_store import S3ArtifactStore
from sdfleet.aws.clock import SystemClock
from sdfleet.aws.error_mapping import translated
from sdfleet.domain import rsa
from sdfleet.environment import DeploymentEnvironment, LinkEnvironment
from sdfleet.errors import ConfigError
from sdfleet.ports import Clock

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ssm import SSMClient

    from sdfleet.aws.clients import Clients


def artifact_store(clients: Clients, deployment: DeploymentEnvironment) -> S3ArtifactStore:
    """The deployment's objects, whose links to outputs are what the deployment says."""
    if deployment.links is None:
        return S3ArtifactStore(clients.s3)
    return S3ArtifactStore(
        clients.s3, links=CloudFrontLinks(clients.ssm, deployment.links, bucket=deployment.output_bucket)
    )


class CloudFrontLinks:
    def __init__(
        self, client: SSMClient, environment: LinkEnvironment, *, bucket: str, clock: Clock | None = None
    ) -> None:
        """`bucket`: the only one that the CDN serves."""
        self.bucket = bucket
        self._client = client
        self._environment = environment
        self._clock = clock or SystemClock()
        self._key: rsa.PrivateKey | None = None
        self._lock = threading.Lock()

    def link(self, key: str, *, lifetime: timedelta) -> str:
        """Raises:
        ServiceUnavailable: the private key cannot be read.
        ConfigError: what is read is none.
        """
        url = f"https://{self._environment.domain_name}/{quote(key)}"
        signer = CloudFrontSigner(self._environment.key_pair_id, self._sign)
        return signer.generate_presigned_url(url, date_less_than=self._clock.now() + lifetime)

    def _sign(self, message: bytes) -> bytes:
        key = self._private_key()
        return key.sign_sha1(message, blinding=2 + secrets.randbelow(key.modulus - 2))

    def _private_key(self) -> rsa.PrivateKey:
        with self._lock:
            if self._key is None:
                name = self._environment.private_key_parameter
                with translated():
                    answer = self._client.get_parameter(Name=name, WithDecryption=True)
                try:
                    self._key = rsa.read_private_key(answer["Parameter"]["Value"])
                except ValueError as error:
                    raise ConfigError(f"The parameter {name} is not the key that links are signed with.") from error
            return self._key


def link_public_key(client: EC2Client, key_pair_id: str) -> str:
    """The public half of EC2's key pair, in PEM.

    Raises:
        ValueError: it is not there, or no RSA key.
        ServiceUnavailable: EC2 does not answer.
    """
    with translated():
        answer = client.describe_key_pairs(KeyPairIds=[key_pair_id], IncludePublicKey=True)
    if not answer["KeyPairs"]:
        raise ValueError(f"there is no key pair {key_pair_id}")
    return rsa.public_key_pem(answer["KeyPairs"][0]["PublicKey"])
