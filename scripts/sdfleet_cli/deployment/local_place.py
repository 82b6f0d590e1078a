"""The deployment on this machine, for commands that work on any."""

from __future__ import annotations

import os

from sdfleet.aws.clients import Clients
from sdfleet_cli.console import local_deployment

#: The embedded endpoint takes any credentials, and must not get the user's own, nor a profile's region or endpoint.
_SETTINGS = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


def local_clients() -> Clients:
    """Of the embedded AWS endpoint. For the rest of this process the user's own credentials are out of sight.

    Raises:
        RefusedByState: local mode does not run.
    """
    outputs = local_deployment().outputs()
    os.environ.update(_SETTINGS)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        os.environ.pop(name, None)
    return Clients(region=outputs["AwsRegion"], endpoint_url=outputs["AwsEndpointUrl"])
