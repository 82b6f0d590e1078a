"""RSA as far as signed links need it: reading a key pair, and signatures by PKCS #1 v1.5 with SHA-1.

CloudFront takes no other (Developer Guide, "Create a signed URL using a canned policy"), and the Lambda runtime has no
library for it. Formats: RFC 8017 (PKCS #1), RFC 4253 6.6 (OpenSSH's public keys), RFC 5280 4.1 (public keys in PEM).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import textwrap
from dataclasses import dataclass, field

#: DER: `SEQUENCE { OID rsaEncryption, NULL }`.
_RSA_ENCRYPTION = bytes.fromhex("300d06092a864886f70d0101010500")
#: DER: `DigestInfo` of SHA-1 up to the digest itself (RFC 8017, 9.2, note 1).
_SHA1_INFO = bytes.fromhex("3021300906052b0e03021a05000414")
_SEQUENCE, _INTEGER, _BIT_STRING = 0x30, 0x02, 0x03
#: Version, n, e, d, p, q, d mod p-1, d mod q-1, 1/q mod p.
_PRIVATE_KEY_PARTS = 9


@dataclass(frozen=True)
class PrivateKey:
    modulus: int
    public_exponent: int
    first_prime: int = field(repr=False)
    second_prime: int = field(repr=False)
    first_exponent: int = field(repr=False)
    second_exponent: int = field(repr=False)
    coefficient: int = field(repr=False)

    @property
    def size_bytes(self) -> int:
        return (self.modulus.bit_length() + 7) // 8

    def sign_sha1(self, message: bytes, *, blinding: int) -> bytes:
        """`blinding`: a random number below the modulus, a new one each time; it hides the key from who measures time.

        Raises:
            ValueError: the key's parts do not belong together.
        """
        digest = _SHA1_INFO + hashlib.sha1(message).digest()  # noqa: S324  CloudFront's, see above
        padding = b"\xff" * (self.size_bytes - len(digest) - 3)
        padded = int.from_bytes(b"\x00\x01" + padding + b"\x00" + digest)
        hidden = padded * pow(blinding, self.public_exponent, self.modulus) % self.modulus
        first = pow(hidden, self.first_exponent, self.first_prime)
        second = pow(hidden, self.second_exponent, self.second_prime)
        power = second + self.second_prime * (self.coefficient * (first - second) % self.first_prime)
        signature = power * pow(blinding, -1, self.modulus) % self.modulus
        # A signature that one wrong bit went into would give the key away.
        if pow(signature, self.public_exponent, self.modulus) != padded:
            raise ValueError("the private key's parts do not belong together")
        return signature.to_bytes(self.size_bytes)


def read_private_key(pem: str) -> PrivateKey:
    """From `-----BEGIN RSA PRIVATE KEY-----`, as EC2 writes it.

    Raises:
        ValueError: it is none.
    """
    match = re.search(r"-----BEGIN RSA PRIVATE KEY-----(.+?)-----END RSA PRIVATE KEY-----", pem, flags=re.DOTALL)
    if match is None:
        raise ValueError("no RSA private key in PEM")
    tag, body, _ = _element(_decoded("".join(match[1].split())))
    numbers = []
    while body:
        kind, value, body = _element(body)
        if kind != _INTEGER:
            raise ValueError("a part of the RSA private key is no number")
        numbers.append(int.from_bytes(value))
    if tag != _SEQUENCE or len(numbers) != _PRIVATE_KEY_PARTS:
        raise ValueError("the RSA private key has not the parts of one")
    _, modulus, public_exponent, _, first, second, first_exponent, second_exponent, coefficient = numbers
    return PrivateKey(modulus, public_exponent, first, second, first_exponent, second_exponent, coefficient)


def public_key_pem(openssh: str) -> str:
    """`-----BEGIN PUBLIC KEY-----`, as CloudFront takes it, from `ssh-rsa AAAA... name`, as EC2 shows it.

    Raises:
        ValueError: it is no RSA key.
    """
    words = openssh.split()
    if len(words) < 2 or words[0] != "ssh-rsa":
        raise ValueError("no RSA public key of OpenSSH")
    rest, parts = _decoded(words[1]), []
    while rest:
        size = int.from_bytes(rest[:4])
        part, rest = rest[4 : 4 + size], rest[4 + size :]
        if len(part) < size:
            raise ValueError("the OpenSSH key is cut off")
        parts.append(part)
    if len(parts) != 3 or parts[0] != b"ssh-rsa":
        raise ValueError("the OpenSSH key has not the parts of an RSA key")
    _, exponent, modulus = parts
    numbers = _der(_SEQUENCE, _der(_INTEGER, modulus) + _der(_INTEGER, exponent))
    key = _der(_SEQUENCE, _RSA_ENCRYPTION + _der(_BIT_STRING, b"\x00" + numbers))
    lines = "\n".join(textwrap.wrap(base64.b64encode(key).decode(), 64))
    return f"-----BEGIN PUBLIC KEY-----\n{lines}\n-----END PUBLIC KEY-----\n"


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("the key is not base64") from error


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """Tag, value and what follows of DER's first element."""
    if len(data) < 2:
        raise ValueError("the key is cut off")
    tag, size, start = data[0], data[1], 2
    if size & 0x80:
        start += size & 0x7F
        size = int.from_bytes(data[2:start])
    value = data[start : start + size]
    if len(value) < size:
        raise ValueError("the key is cut off")
    return tag, value, data[start + size :]


def _der(tag: int, value: bytes) -> bytes:
    size = len(value)
    if size < 0x80:
        return bytes((tag, size)) + value
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(length))) + length + value
