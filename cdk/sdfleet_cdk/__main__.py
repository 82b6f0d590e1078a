"""`python -m sdfleet_cdk`: what the CDK command line runs (cdk.json)."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import aws_cdk as cdk

from sdfleet.errors import SdfleetError
from sdfleet_cdk.app import add_stacks, config_of

_CONFIG = Path(__file__).resolve().parents[2] / "config" / "config.yaml"


def main() -> int:
    app = cdk.App()
    try:
        add_stacks(app, config_of(app, os.environ, default_path=_CONFIG))
    except SdfleetError as error:
        print(error, file=sys.stderr)  # noqa: T201  a command's output
        return 2
    app.synth()
    return 0


if __name__ == "__main__":
    sys.exit(main())
