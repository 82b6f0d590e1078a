"""The page on what local mode's Auto Scaling holds to, out of the tests that hold it there."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sdfleet_cli.console import checkout_root

_HEAD = """\
# Rules of the local Auto Scaling groups

Written by `python -m sdfleet_cli.reference` out of the tests named here; a test fails when it is not current.

Local mode has groups of its own behind the Auto Scaling API, so that boto3 and the `aws` command line find what they
find on an account. Each rule is held by a test, with its source. API: Auto Scaling API reference; Guide: Auto Scaling
User Guide, by the title of the page. [X]: seen in others' excerpts of real answers only; [U]: not documented, ours.
What is not emulated answers `NotImplemented` and says so.

Time: hooks, grace periods and refreshes run by the clock. A minute of CloudWatch, a warm-up and a cooldown run at the
pace of `./deploy.sh --local --scaling-minute SECONDS`.
"""
_MARKED = "test_auto_scaling_conformance*.py"
_OF_REFRESHES = ("test_refresh_rules.py", "test_refresh_turns.py", "test_refresh_failures.py")


@dataclass(frozen=True)
class Rule:
    id: str
    text: str
    source: str
    test: str


def rules_page() -> str:
    tests = checkout_root() / "tests" / "local"
    marked = [rule for path in sorted(tests.glob(_MARKED)) for rule in _marked_rules(path)]
    refreshes = [rule for name in _OF_REFRESHES for rule in _described_rules(tests / name)]
    numbered = [
        Rule(f"REFRESH-{number}", rule.text, rule.source, rule.test) for number, rule in enumerate(refreshes, start=1)
    ]
    return f"{_HEAD}\n## Groups, instances, policies\n\n{_table(marked)}\n## Instance refreshes\n\n{_table(numbered)}"


def _table(rules: list[Rule]) -> str:
    rows = "".join(f"| {rule.id} | {_cell(rule.text)} | {_cell(rule.source)} | `{rule.test}` |\n" for rule in rules)
    return f"| rule | what holds | source | test |\n|---|---|---|---|\n{rows}"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _marked_rules(path: Path) -> Iterator[Rule]:
    """Of tests that are decorated with `@rule(id, text, source)`."""
    module = ast.parse(path.read_text())
    constants = {
        target.id: node.value.value
        for node in module.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for test in _tests(module):
        for decorator in test.decorator_list:
            match decorator:
                case ast.Call(func=ast.Name(id="rule"), args=[rule_id, text, source]):
                    named = f"{path.name}::{test.name}"
                    words = [_text(part, constants) for part in (rule_id, text, source)]
                    yield Rule(words[0], words[1], words[2], named)


def _described_rules(path: Path) -> Iterator[Rule]:
    """Of tests whose docstring is the source and whose name is the rule."""
    for test in _tests(ast.parse(path.read_text())):
        if source := ast.get_docstring(test):
            sentence = test.name.removeprefix("test_").replace("_", " ")
            yield Rule("", f"{sentence[0].upper()}{sentence[1:]}.", source, f"{path.name}::{test.name}")


def _tests(module: ast.Module) -> Iterator[ast.FunctionDef]:
    return (node for node in module.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"))


def _text(node: ast.expr, constants: Mapping[str, object]) -> str:
    """A literal, or an f-string of the module's constants.

    Raises:
        ValueError: anything else; a rule is written out.
    """
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_text(part, constants) for part in parts)
        case ast.FormattedValue(value=ast.Name(id=name)) if name in constants:
            return str(constants[name])
    raise ValueError(f"A rule is a literal, not {ast.unparse(node)}")
