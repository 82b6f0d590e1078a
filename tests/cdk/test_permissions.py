"""Who may do what: nothing by a wildcard without its reason, and all of it written down."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cdk_templates import VARIANTS, templates
from sdfleet_cdk.permissions import Permission
from sdfleet_cdk.permissions_reference import reference

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "permissions.md"


def test_the_page_of_permissions_is_current() -> None:
    assert PAGE.read_text() == reference(), "run: .venv/bin/python -m sdfleet_cdk.permissions_reference"


def test_a_wildcard_on_the_page_has_its_reason_beside_it() -> None:
    processes = PAGE.read_text().split("## Resources")[0]
    rows = [line.strip("| ").split(" | ") for line in processes.splitlines() if line.startswith("| ") and "*" in line]
    assert rows
    assert [row[0] for row in rows if len(row) < 4 or not row[3].strip()] == []


def test_a_permission_with_a_wildcard_and_no_reason_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="Everything has a wildcard"):
        Permission("Everything", ("s3:*",), ("arn:aws:s3:::bucket",))


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_role_has_its_statements_in_itself_and_none_of_awss_wide_ones(variant: str) -> None:
    made = templates(variant)
    assert not list(made.resources("AWS::IAM::Policy"))
    for role in made.resources("AWS::IAM::Role"):
        # Session Manager's and CloudWatch's own are listed by name where a process needs them.
        assert "ManagedPolicyArns" not in role.properties
        assert '"Action": "*"' not in json.dumps(role.properties)
