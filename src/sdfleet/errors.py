"""The error tree. A class's docstring is its default message.

::

    SdfleetError
    ├── InvalidRequest          every bad field of a request, by path
    ├── PayloadTooLarge
    ├── TaskConflict            the id is in use by an unfinished task with other content
    ├── TaskNotFound
    ├── TransitionRefused       the task is not in a state that allows it
    │   └── ClaimLost           another run or another claim owns the task now
    ├── RecordConflict          the record changed since it was read; read it again
    ├── LeaseLost               the message is no longer ours
    ├── LifecycleActionNotFound the group does not wait for this instance (any more)
    ├── ObjectNotFound          no object there (or no right to see it)
    ├── ServiceUnavailable      an AWS call failed in a way that a repetition may mend
    ├── MalformedMessage        a queue message that is no task message
    ├── ConfigError             file, line, nearest valid key
    ├── LocalModeError          one line that says what to do next
    └── DeploymentError         a deployment on an account: what happened and what to do
        ├── DeploymentRefused   the state of things does not allow it
        └── TrialUnwatched      no alarms could be put on the release on trial
"""

from __future__ import annotations

from dataclasses import dataclass


class SdfleetError(Exception):
    """Something in sdfleet failed."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip().split("\n\n")[0])


@dataclass(frozen=True)
class FieldError:
    """One thing wrong with one field of a request."""

    #: Where: `task.metadata.id`, `task.content.init_images[0]`; empty for the whole body.
    path: str
    #: What is wrong and what would be right. Never repeats a prompt.
    message: str


class InvalidRequest(SdfleetError):
    """The request is not valid."""

    def __init__(self, errors: tuple[FieldError, ...]) -> None:
        self.errors = errors
        super().__init__("; ".join(f"{e.path}: {e.message}" if e.path else e.message for e in errors))


class PayloadTooLarge(SdfleetError):
    """The request body is larger than 4 MiB. Send large inputs through POST /v1alpha2/uploads."""


class TaskConflict(SdfleetError):
    """The id belongs to an unfinished task with other content. Use another id, or wait for its end."""


class TaskNotFound(SdfleetError):
    """There is no task with this id. Records live 30 days."""


class TransitionRefused(SdfleetError):
    """The task is not in a state that allows this."""


class ClaimLost(TransitionRefused):
    """The task belongs to another run or another claim now."""


class RecordConflict(SdfleetError):
    """The record changed since it was read."""


class LeaseLost(SdfleetError):
    """The visibility timeout passed; another instance may hold the message."""


class LifecycleActionNotFound(SdfleetError):
    """The Auto Scaling group does not wait for this instance: not yet, not any more, or it has no such hook."""


class ObjectNotFound(SdfleetError):
    """There is no such object."""


class ServiceUnavailable(SdfleetError):
    """An AWS service did not answer as it should; the same call may succeed later."""


class MalformedMessage(SdfleetError):
    """The message is no task message."""

    def __init__(self, message: str, *, task_id: str | None = None) -> None:
        #: The id, where one could be read: its sender gets a failure notice.
        self.task_id = task_id
        super().__init__(message)


class ConfigError(SdfleetError):
    """The configuration is not valid."""


class LocalModeError(SdfleetError):
    """Local mode could not do this."""


class DeploymentError(SdfleetError):
    """The deployment on the account could not do this."""


class DeploymentRefused(DeploymentError):
    """The state of the deployment does not allow this."""


class TrialUnwatched(DeploymentError):
    """Nothing would turn the release back if it were bad."""
