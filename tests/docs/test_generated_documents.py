"""What is generated is current, and true: the reference loads, the schema accepts what the model accepts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from sdfleet.config import Config, load
from sdfleet.config.description import Entry, entries
from sdfleet_cli.reference import GENERATED

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config"


def all_entries(section: type[BaseModel] = Config) -> list[Entry]:
    found = []
    for entry in entries(section):
        found.append(entry)
        if entry.section is not None:
            found += all_entries(entry.section)
    return found


def validator() -> Draft202012Validator:
    schema = json.loads((CONFIG / "config.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.mark.parametrize("path", GENERATED)
def test_what_is_generated_is_current(path: str) -> None:
    assert (ROOT / path).read_text() == GENERATED[path](), "run: python -m sdfleet_cli.reference"


def test_the_reference_file_holds_the_defaults() -> None:
    assert load(CONFIG / "config.reference.yaml") == Config()


def test_every_key_says_what_it_means_and_what_it_may_be() -> None:
    assert [entry.key for entry in all_entries() if len(entry.meaning) < 12 or not entry.allowed] == []


@pytest.mark.parametrize("document", ["config/config.reference.yaml", "docs/reference/config.md"])
def test_the_references_name_every_key(document: str) -> None:
    text = (ROOT / document).read_text()
    marked = "`{}`" if document.endswith(".md") else "{}:"
    assert [entry.key for entry in all_entries() if marked.format(entry.key) not in text] == []


@pytest.mark.parametrize("file", ["config.yaml", "config.reference.yaml"])
def test_the_schema_accepts_the_files_that_name_it(file: str) -> None:
    text = (CONFIG / file).read_text()
    assert text.startswith("# yaml-language-server: $schema=config.schema.json\n")
    assert list(validator().iter_errors(yaml.safe_load(text))) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"stackname": "a"},
        {"stackName": "1a"},
        {"modelsRuntime": [{"name": "a", "type": "invoke"}]},
        {"modelsRuntime": [{"name": "a", "type": "custom", "fleet": {"maxSize": 0}}]},
        {"modelsRuntime": [{"name": "a", "type": "comfyui", "customNodes": [{"repository": "https://a/b"}]}]},
        {"network": {"egress": "vpn"}},
        {"retention": {"logDays": 31}},
        {"domainName": {"name": "https://a.example", "certificateArn": "x"}},
    ],
)
def test_the_schema_refuses_what_the_model_refuses(wrong: dict[str, Any]) -> None:
    assert not validator().is_valid(wrong)
