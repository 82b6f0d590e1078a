"""Every command of ours that a document tells to run exists, with every option that it is given."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from sdfleet_cli.main import main

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "docs" / "quickstart.md", *sorted((ROOT / "docs" / "operations").glob("*.md"))]
_BLOCK = re.compile(r"```(?:bash|sh)\n(.*?)```", re.DOTALL)
_IN_TEXT = re.compile(r"`((?:\./|scripts/|\.venv/bin/sdfleet |sdfleet )[^`\n]+)`")
_COMMAND_OF_SCRIPT = re.compile(r"-m sdfleet_cli\.main (\S+)")
#: These hand over to no command of `sdfleet`.
_OTHERS = ("test.sh", "bootstrap.sh")


def commands_in(document: Path) -> list[str]:
    text = document.read_text()
    blocks = "\n".join(_BLOCK.findall(text)).replace("\\\n", " ")
    lines = [line.strip() for line in blocks.splitlines()]
    ours = ("./deploy.sh", "./destroy.sh", "scripts/", ".venv/bin/sdfleet")
    return [line for line in lines if line.startswith(ours)] + _IN_TEXT.findall(text)


def parsed(line: str) -> tuple[click.Command, list[str]] | None:
    """The command that `line` runs and its arguments; None: it is no command of `sdfleet`."""
    words = shlex.split(line, comments=True)
    program = words[0].removeprefix("./")
    if program in (".venv/bin/sdfleet", "sdfleet"):
        names = words[1:]
    else:
        script = ROOT / (program if program.startswith("scripts/") else f"scripts/{program}")
        if script.name in _OTHERS or script.suffix != ".sh":
            return None
        found = _COMMAND_OF_SCRIPT.search(script.read_text())
        assert found is not None, f"{script} hands over to nothing"
        names = [found[1], *words[1:]]
    command: click.Command = main
    while isinstance(command, click.Group):
        assert names, f"{line!r} names no command"
        child = command.get_command(click.Context(command), names[0])
        assert child is not None, f"{line!r}: there is no {names[0]}"
        command, names = child, names[1:]
    return command, names


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_and_option_of_a_document_exists(document: Path) -> None:
    for line in commands_in(document):
        found = parsed(line)
        if found is None:
            continue
        command, arguments = found
        options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
        options |= {"-h", "--help"}
        named = {word.split("=")[0] for word in arguments if re.match(r"--?[A-Za-z]", word)}
        assert named <= options, f"{document.name}: {line!r} has {named - options}"


def test_the_deployment_is_documented_with_all_of_its_flags() -> None:
    text = (ROOT / "docs" / "operations" / "deploying.md").read_text()
    deploy = main.get_command(click.Context(main), "deploy")
    assert deploy is not None
    elsewhere = {"--local", "--instances", "--runtime-url", "--port", "--aws-latency-ms", "--no-picture"}
    options = [one for one in deploy.params if isinstance(one, click.Option) and not set(one.opts) & elsewhere]
    flags = [one for one in options if not (one.help or "").startswith("With --local")]
    assert [one.opts for one in flags if not any(f"`{name}" in text or f" {name}" in text for name in one.opts)] == []
