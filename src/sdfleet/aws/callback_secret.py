"""The signing secrets of callbacks: an SSM SecureString, under the account's own key for parameters."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from sdfleet.aws.error_mapping import translated
from sdfleet.domain import callback
from sdfleet.errors import ObjectNotFound, RecordConflict

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

#: Of HMAC-SHA256's own strength.
_BYTES = 32


class SsmCallbackSecret:
    def __init__(self, client: SSMClient, parameter: str) -> None:
        self._client = client
        self._parameter = parameter

    def read(self) -> str:
        # A template cannot make a SecureString, so whoever needs it first does.
        found = self._stored()
        if found is not None:
            return found
        made = callback.new_secret(secrets.token_bytes(_BYTES))
        try:
            self._write(made, is_new=True)
        except RecordConflict:
            # Another was faster; SSM reads what it has acknowledged.
            return self._stored() or made
        return made

    def rotate(self) -> str:
        rotated = callback.rotated(self.read(), callback.new_secret(secrets.token_bytes(_BYTES)))
        self._write(rotated, is_new=False)
        return rotated

    def drop_former(self) -> str:
        newest = self.read().split()[0]
        self._write(newest, is_new=False)
        return newest

    def _stored(self) -> str | None:
        try:
            with translated():
                answer = self._client.get_parameter(Name=self._parameter, WithDecryption=True)
        except ObjectNotFound:
            return None
        return answer["Parameter"]["Value"]

    def _write(self, value: str, *, is_new: bool) -> None:
        with translated():
            self._client.put_parameter(
                Name=self._parameter,
                Value=value,
                Type="SecureString",
                Overwrite=not is_new,
                Description="Signs the callbacks of sdfleet (Standard Webhooks).",
            )
