"""What AWS refuses to a person who deploys, in a sentence that says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    TokenRetrievalError,
)

from sdfleet.errors import DeploymentError

_LOG_IN = "log in again (aws sso login, aws configure) or set AWS_PROFILE to a profile that works"
_INVALID_CREDENTIALS = {
    "ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidClientTokenId", "UnrecognizedClientException",
    "AuthFailure", "SignatureDoesNotMatch", "InvalidAccessKeyId", "InvalidToken",
}  # fmt: skip
_FORBIDDEN = {
    "AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError", "403",
}  # fmt: skip


@contextmanager
def explained() -> Iterator[None]:
    """Raises:
    DeploymentError: whatever the SDK raised; the SDK's own error is its cause.
    """
    try:
        yield
    except (NoCredentialsError, PartialCredentialsError, TokenRetrievalError) as error:
        raise DeploymentError(f"There are no AWS credentials; {_LOG_IN}.") from error
    except ProfileNotFound as error:
        raise DeploymentError(f"{error}; set AWS_PROFILE to one of ~/.aws/config.") from error
    except NoRegionError as error:
        raise DeploymentError("No region is named; add -R REGION, or set AWS_REGION.") from error
    except ClientError as error:
        raise DeploymentError(_sentence(error)) from error
    except BotoCoreError as error:
        raise DeploymentError(
            f"AWS could not be reached ({type(error).__name__}); check the network and the region, then run it again."
        ) from error


def code_of(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def message_of(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Message", ""))


def is_about_nothing(error: ClientError) -> bool:
    """Whether the named thing simply is not there."""
    return any(
        text in f"{code_of(error)} {message_of(error)}" for text in ("NotFound", "404", "does not exist", "NoSuch")
    )


def _sentence(error: ClientError) -> str:
    code, message = code_of(error), message_of(error).rstrip(".")
    if code in _INVALID_CREDENTIALS:
        return f"The AWS credentials do not work ({code}); {_LOG_IN}."
    if code in _FORBIDDEN:
        what = message or "access denied"
        return f"AWS does not allow {error.operation_name}: {what}. Deploy with a role that may, or have it allowed."
    return f"AWS refused {error.operation_name} ({code}): {message}."
