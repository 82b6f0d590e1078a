"""CallbackSecret, in memory and on SSM."""

from __future__ import annotations

import uuid

import pytest

from sdfleet.aws.callback_secret import SsmCallbackSecret
from sdfleet.aws.clients import Clients
from sdfleet.domain import names
from sdfleet.domain.callback import read_secrets
from sdfleet.ports import CallbackSecret


def test_the_first_reading_makes_the_secret_and_the_next_finds_it(callback_secret: CallbackSecret) -> None:
    secret = callback_secret.read()
    assert len(read_secrets(secret)[0]) == 32
    assert callback_secret.read() == secret


def test_a_rotation_keeps_the_former_secret_behind_the_new_one(callback_secret: CallbackSecret) -> None:
    former = callback_secret.read()
    new, kept = callback_secret.rotate().split()
    assert kept == former
    assert new != former
    assert callback_secret.read() == f"{new} {former}"


def test_dropping_leaves_the_newest_alone(callback_secret: CallbackSecret) -> None:
    callback_secret.read()
    new, _ = callback_secret.rotate().split()
    assert callback_secret.drop_former() == new
    assert callback_secret.read() == new


def test_two_that_make_it_at_once_have_the_same(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    parameter = names.callback_secret_parameter(uuid.uuid4().hex)
    made = SsmCallbackSecret(clients.ssm, parameter).read()
    late = SsmCallbackSecret(clients.ssm, parameter)
    look, looks = late._stored, iter([None])
    # It had looked before the other wrote.
    monkeypatch.setattr(late, "_stored", lambda: next(looks, made) and look())
    assert late.read() == made


def test_it_is_kept_encrypted(clients: Clients) -> None:
    parameter = names.callback_secret_parameter(uuid.uuid4().hex)
    SsmCallbackSecret(clients.ssm, parameter).read()
    assert clients.ssm.get_parameter(Name=parameter)["Parameter"]["Type"] == "SecureString"
