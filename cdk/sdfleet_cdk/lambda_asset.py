"""The one package of all functions: the library and the handlers, as they stand in the checkout.

boto3 is the Lambda runtime's own: nothing has to be downloaded or compiled, hence no container engine.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import jsii
from aws_cdk import aws_lambda as lambda_

#: The checkout: this file is cdk/sdfleet_cdk/lambda_asset.py in it.
_ROOT = Path(__file__).resolve().parents[2]
#: What no handler may import (cold start), by its place in the library.
_LEFT_OUT = ("config", "memory")
#: CDK asks for an image to bundle in where the local way does not work; it always does.
_NO_IMAGE = "none"


def copy_package(target: Path, *, root: Path = _ROOT) -> None:
    """Put into `target` what a function finds beside boto3."""
    library = root / "src" / "sdfleet"
    shutil.copytree(library, target / "sdfleet", ignore=_without(library))
    shutil.copytree(root / "lambdas" / "sdfleet_lambdas", target / "sdfleet_lambdas", ignore=_without(library))


def function_code() -> lambda_.Code:
    """Its hash is that of the files' names and contents: the same sources are the same package everywhere."""
    return lambda_.Code.from_asset(
        str(_ROOT / "lambdas"),
        asset_hash_type=cdk.AssetHashType.OUTPUT,
        bundling=cdk.BundlingOptions(image=cdk.DockerImage(_NO_IMAGE), local=_Copy()),
    )


@jsii.implements(cdk.ILocalBundling)
class _Copy:
    # CDK calls it with these names.
    def try_bundle(self, output_dir: str, *_arguments: Any, **_options: Any) -> bool:
        copy_package(Path(output_dir))
        return True


def _without(library: Path) -> Callable[[str, list[str]], set[str]]:
    caches = shutil.ignore_patterns("__pycache__", "*.pyc")

    def ignored(directory: str, entries: list[str]) -> set[str]:
        left_out = _LEFT_OUT if Path(directory) == library else ()
        return {*caches(directory, entries), *left_out}

    return ignored
