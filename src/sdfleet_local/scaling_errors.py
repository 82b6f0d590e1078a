"""What Auto Scaling's calls are refused with: the error codes of the API reference, as boto3 sees them."""

from __future__ import annotations

from sdfleet.errors import LocalModeError


class CallRefused(LocalModeError):
    """The call cannot be carried out."""

    code = "ValidationError"


class ValidationError(CallRefused):
    """The call names something that is not there, lacks a parameter, or has one out of its range."""


class InstanceRefreshInProgress(CallRefused):
    """An instance refresh of the group is under way; it has room for one (API reference, StartInstanceRefresh)."""

    code = "InstanceRefreshInProgress"


class ActiveInstanceRefreshNotFound(CallRefused):
    """No instance refresh of the group is under way (API reference, CancelInstanceRefresh, RollbackInstanceRefresh)."""

    code = "ActiveInstanceRefreshNotFound"


class IrreversibleInstanceRefresh(CallRefused):
    """There is nothing to roll back to (API reference, RollbackInstanceRefresh)."""

    code = "IrreversibleInstanceRefresh"


class LimitExceeded(CallRefused):
    """The group has as many as it may have (API reference, PutLifecycleHook)."""

    code = "LimitExceeded"


class ScalingActivityInProgress(CallRefused):
    """The group is still cooling down (API reference, SetDesiredCapacity, ExecutePolicy)."""

    code = "ScalingActivityInProgress"


class NotEmulated(CallRefused):
    """A part of Auto Scaling that local mode does not have; a success would be a lie."""

    code = "NotImplemented"
