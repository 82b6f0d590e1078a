"""Auto Scaling's calls on a group's processes. Rules: the service's API reference."""

from __future__ import annotations

from sdfleet_local.groups import Groups
from sdfleet_local.scaling_calls import Result, group_of
from sdfleet_local.scaling_errors import ValidationError
from sdfleet_local.scaling_processes import Process
from sdfleet_local.scaling_wire import Request


def suspend_processes(groups: Groups, request: Request) -> Result:
    group_of(groups, request).suspend(_processes(request))
    return None


def resume_processes(groups: Groups, request: Request) -> Result:
    group_of(groups, request).resume(_processes(request))
    return None


def describe_process_types(_groups: Groups, _request: Request) -> Result:
    return {"Processes": [{"ProcessName": one.value} for one in Process]}


def _processes(request: Request) -> tuple[Process, ...]:
    """API: "If you omit this property, all processes are specified"."""
    named = request.texts("ScalingProcesses")
    unknown = [name for name in named if name not in tuple(Process)]
    if unknown:
        raise ValidationError(f"1 validation error detected: Value '{unknown[0]}' is not a valid process")
    return tuple(map(Process, named)) or tuple(Process)
