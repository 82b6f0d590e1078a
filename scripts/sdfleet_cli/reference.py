"""Writes what is generated from the commands, the configuration's model and the tests.

`python -m sdfleet_cli.reference`
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping

import click

from sdfleet.config.description import schema
from sdfleet_cli.auto_scaling_rules import rules_page
from sdfleet_cli.config_reference import reference_page, reference_yaml
from sdfleet_cli.console import checkout_root
from sdfleet_cli.main import main as command_line

_HEAD = """\
# Command line

Written by `python -m sdfleet_cli.reference`; a test fails when it is not current. `deploy.sh` and `destroy.sh` run
`sdfleet deploy` and `sdfleet destroy` in `.venv`, which they make on their first run.

Exit status: 0 done, 1 failed, 2 wrong usage or configuration, 3 refused by the state of things.
"""


def reference() -> str:
    return _HEAD + "".join(
        f"\n## `{path}`\n\n```\n{usage}\n```\n" for path, usage in _usages(command_line, "sdfleet", None)
    )


def _usages(command: click.Command, path: str, parent: click.Context | None) -> Iterator[tuple[str, str]]:
    # A width of its own: the terminal's must not show in a file.
    settings = {**command.context_settings, "terminal_width": 100, "max_content_width": 100}
    context = click.Context(command, info_name=path.split()[-1], parent=parent, **settings)
    yield path, command.get_help(context).rstrip()
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None:
                yield from _usages(child, f"{path} {name}", context)


def _schema() -> str:
    return json.dumps(schema(), indent=2) + "\n"


#: What is written, by its path in the checkout.
GENERATED: Mapping[str, Callable[[], str]] = {
    "docs/reference/auto-scaling-rules.md": rules_page,
    "docs/reference/cli.md": reference,
    "docs/reference/config.md": reference_page,
    "config/config.reference.yaml": reference_yaml,
    "config/config.schema.json": _schema,
}


def write_all() -> None:
    for path, content in GENERATED.items():
        (checkout_root() / path).write_text(content())


if __name__ == "__main__":
    write_all()
