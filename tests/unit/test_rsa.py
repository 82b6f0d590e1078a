"""Our RSA against a library that everybody uses, and that a Lambda function has not."""

from __future__ import annotations

from functools import cache

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from sdfleet.domain.rsa import public_key_pem, read_private_key

MESSAGE = b'{"Statement":[]}'


@cache
def a_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def as_ec2_writes_it(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    ).decode()


def as_ec2_shows_it(key: rsa.RSAPrivateKey) -> str:
    openssh = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return f"{openssh.decode()} sdfleet-links"


@pytest.mark.parametrize("blinding", [2, 12345678901234567890])
def test_a_signature_is_one_by_pkcs1_with_sha1_whatever_blinds_it(blinding: int) -> None:
    signature = read_private_key(as_ec2_writes_it(a_key())).sign_sha1(MESSAGE, blinding=blinding)
    a_key().public_key().verify(signature, MESSAGE, padding.PKCS1v15(), hashes.SHA1())


def test_a_signature_is_of_its_message_only() -> None:
    signature = read_private_key(as_ec2_writes_it(a_key())).sign_sha1(MESSAGE, blinding=2)
    with pytest.raises(InvalidSignature):
        a_key().public_key().verify(signature, b"another", padding.PKCS1v15(), hashes.SHA1())


def test_a_public_key_of_ec2_is_one_that_cloudfront_takes() -> None:
    expected = (
        a_key().public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    assert public_key_pem(as_ec2_shows_it(a_key())) == expected.decode()


def test_a_key_shows_nothing_of_itself_in_a_log() -> None:
    key = read_private_key(as_ec2_writes_it(a_key()))
    assert str(key.first_prime) not in repr(key)


@pytest.mark.parametrize(
    "pem",
    [
        "",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----\n!\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----\nMAMCAQA=\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEpA==\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_what_is_no_private_key_is_refused(pem: str) -> None:
    with pytest.raises(ValueError, match="key"):
        read_private_key(pem)


@pytest.mark.parametrize("openssh", ["", "ssh-ed25519 AAAA", "ssh-rsa !!!!", "ssh-rsa AAAAB3NzaC1yc2EAAAAD"])
def test_what_is_no_public_key_is_refused(openssh: str) -> None:
    with pytest.raises(ValueError, match="key"):
        public_key_pem(openssh)
