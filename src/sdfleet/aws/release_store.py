"""Release parameters on SSM."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdfleet.aws.error_mapping import translated
from sdfleet.domain import names
from sdfleet.errors import ObjectNotFound, RecordConflict

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient


class SsmReleaseStore:
    def __init__(self, client: SSMClient, deployment_id: str) -> None:
        self._client = client
        self._deployment_id = deployment_id

    def read(self, runtime: str, name: str) -> str | None:
        try:
            with translated():
                answer = self._client.get_parameter(Name=self._path(runtime, name))
        except ObjectNotFound:
            return None
        return answer["Parameter"]["Value"]

    def write(self, runtime: str, name: str, value: str) -> None:
        with translated():
            self._client.put_parameter(Name=self._path(runtime, name), Value=value, Type="String", Overwrite=True)

    def create(self, runtime: str, name: str, value: str) -> bool:
        try:
            with translated():
                self._client.put_parameter(Name=self._path(runtime, name), Value=value, Type="String")
        except RecordConflict:
            return False
        return True

    def _path(self, runtime: str, name: str) -> str:
        return names.release_parameter(self._deployment_id, runtime, name)
