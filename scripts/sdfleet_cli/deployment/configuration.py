"""The configuration file of a deployment, and what the command line asks to stand in it.

A flag fills a key that is not set. What a person has set is never replaced: a flag that says otherwise is refused
with the line. In a file that holds the defaults only, nothing has been set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sdfleet.config import Config, load
from sdfleet.config.source import Source
from sdfleet.domain.content import format_path
from sdfleet.errors import ConfigError, DeploymentError
from sdfleet_cli.deployment import yaml_edit

#: The deployment's id where nothing names one (wire contract, CloudFormation outputs).
DEFAULT_ID = "sdfleet"
#: `.sdfleet/local` belongs to local mode.
RESERVED_IDS = ("local",)

_NEW_FILE = """\
# What this deployment is made of. Every key and its default: config/config.reference.yaml.
modelsRuntime:
  - name: sdruntime
    type: sdwebui
    modelFilename: v1-5-pruned-emaonly.safetensors
"""


@dataclass(frozen=True)
class Wish:
    """A value that the command line asks for."""

    #: As the user typed it, for messages: `-b`.
    flag: str
    path: tuple[str | int, ...]
    value: str
    #: Whether another value that stands in the file gives way for this run, as the region does.
    overrides: bool = False


def deployment_id_of(*, argument: str | None, option: str | None, config_file: Path | None) -> str:
    """The argument, else `-n`, else the configuration, else `sdfleet`.

    Raises:
        ConfigError: two of them name different ones, or it is a name that cannot be used.
    """
    if argument and option and argument != option:
        raise ConfigError(f"The argument says {argument} and -n says {option}; name one deployment.")
    named = argument or option
    in_file = _stack_name(config_file) if config_file is not None and config_file.is_file() else None
    if named and in_file and named != in_file and not is_untouched(config_file):
        line = yaml_edit.line_of(_text(config_file), ("stackName",))
        raise ConfigError(
            f"{config_file}:{line}: stackName is {in_file}, and you named {named}; name one of them, or give {named} a "
            f"file of its own with --config."
        )
    deployment_id = named or in_file or DEFAULT_ID
    if deployment_id.lower() in RESERVED_IDS:
        raise ConfigError(f"{deployment_id} is the name of the deployment on this machine; choose another.")
    return deployment_id


def _text(path: Path | None) -> str:
    return path.read_text(encoding="utf-8") if path is not None else ""


def _stack_name(path: Path) -> str | None:
    value = Source.read(path).values.get("stackName")
    return str(value) if value else None


def is_untouched(path: Path | None) -> bool:
    """Whether the file holds defaults only: as it came, whatever its comments say."""
    if path is None:
        return True
    try:
        return load(path) == Config()
    except ConfigError:
        return False


def fill_in(path: Path, wishes: Sequence[Wish]) -> list[str]:
    """Write what is wished and not set yet; a sentence for each change. Makes the file if there is none.

    Raises:
        ConfigError: the file says otherwise, or what came out is not valid; then nothing was written.
    """
    is_new = not path.is_file()
    text = _NEW_FILE if is_new else path.read_text(encoding="utf-8-sig")
    untouched = is_new or is_untouched(path)
    values = None if is_new else Source.read(path).values
    before, changes = text, [f"{path} was written"] if is_new else []
    for wish in wishes:
        present = None if values is None else _value_at(values, wish.path)
        if present == wish.value:
            continue
        if present is not None and not untouched:
            if wish.overrides:
                continue
            raise ConfigError(
                f"{path}:{yaml_edit.line_of(text, wish.path)}: {format_path(wish.path)} is {present}, and {wish.flag} "
                f"says {wish.value}; change the file, or leave {wish.flag} out."
            )
        try:
            text = yaml_edit.with_value(text, wish.path, wish.value)
        except KeyError as error:
            raise ConfigError(
                f"{path}: {format_path(wish.path)} cannot be set by {wish.flag}; write {wish.value} there yourself."
            ) from error
        changes.append(f"{format_path(wish.path)} is now {wish.value} ({wish.flag})")
    if text != before or is_new:
        _replace(path, text)
    return changes


def _value_at(values: object, path: Sequence[str | int]) -> object:
    for part in path:
        if isinstance(values, dict):
            values = values.get(part)
        elif isinstance(values, list) and isinstance(part, int) and part < len(values):
            values = values[part]
        else:
            return None
    return values


def _replace(path: Path, text: str) -> None:
    """Only what is valid, and never half of it."""
    draft = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(text, encoding="utf-8")
        load(draft)
    except ConfigError as error:
        draft.unlink(missing_ok=True)
        raise ConfigError(str(error).replace(str(draft), str(path))) from error
    except OSError as error:
        raise DeploymentError(f"{path} cannot be written ({error.strerror}); make its directory writable.") from error
    draft.replace(path)
