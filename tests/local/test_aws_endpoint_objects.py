"""Objects of the embedded endpoint: any range of a large one, without its whole in memory for each."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from running_service import eventually
from sdfleet.aws.clients import Clients
from sdfleet_local import child
from sdfleet_local.loopback import free_port, listens

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET, KEY = "objects", "Stable-diffusion/large.safetensors"
MIB = 1024 * 1024
#: Beyond what moto keeps in memory.
LARGE = random.Random(3).randbytes(8 * MIB + 3)
SMALL = b"0123456789"


@dataclass(frozen=True)
class Endpoint:
    s3: S3Client
    pid: int

    def put(self, content: bytes, key: str = KEY) -> None:
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=content)

    def read(self, span: str, key: str = KEY) -> bytes:
        return self.s3.get_object(Bucket=BUCKET, Key=key, Range=f"bytes={span}")["Body"].read()

    @property
    def most_memory_mib(self) -> float:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text())
        assert found is not None
        return int(found[1]) / 1024


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    port = free_port()
    command = [sys.executable, "-m", "sdfleet_local.aws_endpoint", "--port", str(port)]
    with subprocess.Popen(command, env=child.base_environment()) as process:
        eventually(lambda: listens(port))
        clients = Clients(region="us-east-1", endpoint_url=f"http://127.0.0.1:{port}", has_credentials=False)
        clients.s3.create_bucket(Bucket=BUCKET)
        yield Endpoint(clients.s3, process.pid)
        clients.s3.close()
        process.terminate()


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
def test_a_range_is_the_very_bytes_whichever_way_it_is_named(endpoint: Endpoint, content: bytes) -> None:
    endpoint.put(content)
    middle = len(content) // 2
    assert endpoint.read(f"1-{middle}") == content[1 : middle + 1]
    assert endpoint.read(f"{middle}-") == content[middle:]
    assert endpoint.read("-4") == content[-4:]
    assert endpoint.read(f"3-{len(content) * 2}") == content[3:]


@pytest.mark.parametrize("content", [b"", SMALL, LARGE], ids=["empty", "small", "large"])
def test_an_object_comes_whole_and_says_its_length(endpoint: Endpoint, content: bytes) -> None:
    endpoint.put(content)
    answer = endpoint.s3.get_object(Bucket=BUCKET, Key=KEY)
    assert answer["ContentLength"] == len(content)
    assert answer["Body"].read() == content


def test_a_range_says_where_it_lies_in_what(endpoint: Endpoint) -> None:
    endpoint.put(LARGE)
    answer = endpoint.s3.get_object(Bucket=BUCKET, Key=KEY, Range="bytes=5-9")
    assert answer["ContentRange"] == f"bytes 5-9/{len(LARGE)}"
    assert answer["ContentLength"] == 5
    answer["Body"].close()


def test_a_range_behind_the_end_is_refused(endpoint: Endpoint) -> None:
    endpoint.put(SMALL)
    with pytest.raises(ClientError, match="InvalidRange"):
        endpoint.read("10-20")


@pytest.mark.parametrize("then", ["replaced", "deleted"])
def test_who_reads_an_object_gets_it_to_its_end_whatever_becomes_of_it(endpoint: Endpoint, then: str) -> None:
    content = LARGE * 4  # more than lies between two sockets
    endpoint.put(content)
    body = endpoint.s3.get_object(Bucket=BUCKET, Key=KEY, Range=f"bytes=0-{len(content) - 1}")["Body"]
    begin = body.read(10)
    if then == "replaced":
        endpoint.put(b"other")
    else:
        endpoint.s3.delete_object(Bucket=BUCKET, Key=KEY)
    assert begin + body.read() == content


def test_many_ranges_at_once_do_not_take_the_object_so_many_times_into_memory(endpoint: Endpoint) -> None:
    content = LARGE * 4
    endpoint.put(content, "many")
    part = len(content) // 8
    before = endpoint.most_memory_mib
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda n: endpoint.read(f"{n * part}-{(n + 1) * part - 1}", "many"), range(8)))
    assert b"".join(read) == content[: 8 * part]
    assert endpoint.most_memory_mib - before < len(content) / MIB / 2
