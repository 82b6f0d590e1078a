"""What botocore raises, as ours. Nothing else catches botocore's errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from sdfleet.errors import (
    LeaseLost,
    LifecycleActionNotFound,
    ObjectNotFound,
    RecordConflict,
    SdfleetError,
    ServiceUnavailable,
)

#: By last part: SQS writes `AWS.SimpleQueueService.MessageNotInflight` or only the end of it.
_LEASE_LOST = {"ReceiptHandleIsInvalid", "MessageNotInflight"}
#: InvalidParameterValue stands for many things; with these texts, for a message that is visible again, or that will be
#: because its 12 hours are over.
_LEASE_LOST_TEXTS = (
    "not available for visibility timeout change",
    "receipt handle has expired",
    "Total VisibilityTimeout for the message is beyond the limit",
)

#: Reading an object. HEAD answers have no body, so their codes are numbers. Without the right to list the bucket,
#: S3 says 403 for an object that is not there. The rest are names that no object can have, archived ones, and those
#: whose content is another by now.
_NO_OBJECT = {
    "404", "NoSuchKey", "NoSuchBucket",
    "403", "AccessDenied", "AllAccessDisabled",
    "KeyTooLongError", "InvalidBucketName", "InvalidObjectState", "MethodNotAllowed", "405",
    "PreconditionFailed", "412",
}  # fmt: skip
_READS_OBJECT = {"GetObject", "HeadObject"}

#: Their ValidationError says that the group, its hook or its wait for this instance is not there.
_LIFECYCLE_ACTIONS = {"CompleteLifecycleAction", "RecordLifecycleActionHeartbeat"}

#: Something is there that the writer did not expect.
_IN_THE_WAY = {"ConditionalCheckFailedException", "ParameterAlreadyExists"}

#: The call itself is wrong, however often it is made: a bug of ours, which no caller can handle.
_WRONG_CALLS = {"ValidationException", "InvalidParameterValue", "InvalidParameter", "SerializationException"}


@contextmanager
def translated() -> Iterator[None]:
    """Raises:
    LeaseLost, RecordConflict, ObjectNotFound, LifecycleActionNotFound: as the ports say.
    ServiceUnavailable: throttled, unreachable, refused or failed; rights and resources may be mended meanwhile.
    """
    try:
        yield
    except ParamValidationError:
        raise
    except ClientError as error:
        ours = _translation(error)
        if ours is None:
            raise
        raise ours from error
    except BotoCoreError as error:
        raise ServiceUnavailable(f"AWS could not be reached ({type(error).__name__}); try again.") from error


def _translation(error: ClientError) -> SdfleetError | None:
    details: Any = error.response.get("Error", {})
    code = str(details.get("Code", "")).rsplit(".", 1)[-1]
    message = str(details.get("Message", ""))
    if code in _LEASE_LOST or (code == "InvalidParameterValue" and any(text in message for text in _LEASE_LOST_TEXTS)):
        return LeaseLost()
    if code in _IN_THE_WAY or _is_cancelled_by_condition(code, error):
        return RecordConflict()
    if code == "ParameterNotFound" or (error.operation_name in _READS_OBJECT and code in _NO_OBJECT):
        return ObjectNotFound("There is no such object, or no right to see it.")
    if code == "ValidationError" and error.operation_name in _LIFECYCLE_ACTIONS:
        return LifecycleActionNotFound(f"Auto Scaling does not wait for this instance: {message.rstrip('.')}.")
    if code in _WRONG_CALLS:
        return None
    return ServiceUnavailable(f"AWS refused {error.operation_name} ({code}); the same call may succeed later.")


def _is_cancelled_by_condition(code: str, error: ClientError) -> bool:
    # The other reasons (a concurrent transaction, throttling) say nothing about the record.
    reasons: Any = error.response.get("CancellationReasons", ())
    return code == "TransactionCanceledException" and any(
        reason.get("Code") == "ConditionalCheckFailed" for reason in reasons
    )
