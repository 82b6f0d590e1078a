"""What only the deployment knows about a request: its runtimes, what they serve, their models."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sdfleet.domain import content, names, workflow
from sdfleet.domain.callback import parse_target
from sdfleet.domain.task import ApiVersion, RuntimeType, Submission, TaskType
from sdfleet.domain.wire.draft import Draft
from sdfleet.domain.wire.reader import did_you_mean
from sdfleet.environment import DeploymentEnvironment, RuntimeEnvironment
from sdfleet.errors import FieldError
from sdfleet_lambdas.composition import Services

#: It stands in the record, which has 400 KB for everything, and in an object's key, which has 1,024 bytes.
_LONGEST_MODEL = 512


@dataclass(frozen=True)
class CheckedSubmission:
    submission: Submission
    runtime: RuntimeEnvironment


def check(draft: Draft, services: Services) -> CheckedSubmission:
    """The submission and the runtime it goes to.

    Raises:
        InvalidRequest: with every bad field, those that the reader found included.
        ServiceUnavailable: the model bucket did not answer.
    """
    runtime = _route(draft, services.deployment)
    if isinstance(runtime, FieldError):
        draft, runtime = draft.refused([runtime]), None
    if runtime is not None:
        draft = draft.refused([*_tasktype_problems(draft, runtime), *_model_problems(draft, runtime, services)])
    draft = draft.refused([*_content_problems(draft, runtime), *_callback_problems(draft, services.callback_hosts)])
    submission = draft.submission()
    assert runtime is not None  # noqa: S101  no draft without errors lacks it
    return CheckedSubmission(submission, runtime)


def _route(draft: Draft, deployment: DeploymentEnvironment) -> RuntimeEnvironment | FieldError | None:
    """The runtime; or why there is none; or None, if the reader has refused what names it."""
    runtimes = deployment.runtimes
    if draft.api_version is ApiVersion.TASK:
        # The EC2 service knew the WebUI only; local mode may have none.
        webui = next((runtime for runtime in runtimes if runtime.type is RuntimeType.SDWEBUI), None)
        found = webui or next(iter(runtimes), None)
        return found or FieldError(draft.at.runtime, "cannot be served: this deployment has no runtime")
    if draft.runtime is not None:
        return deployment.runtime(draft.runtime) or FieldError(draft.at.runtime, _unknown_runtime(draft, runtimes))
    if draft.model is None or draft.is_bad(draft.at.model):
        return None
    return _route_by_model(draft, draft.model, runtimes)


def _unknown_runtime(draft: Draft, runtimes: Sequence[RuntimeEnvironment]) -> str:
    existing = [runtime.name for runtime in runtimes]
    hint = did_you_mean(draft.runtime or "", existing)
    return f"is no runtime of this deployment; it has {', '.join(existing) or 'none'}.{hint}"


def _route_by_model(
    draft: Draft, model: str, runtimes: Sequence[RuntimeEnvironment]
) -> RuntimeEnvironment | FieldError:
    stem = names.model_stem(model)
    candidates = [
        *(runtime for runtime in runtimes if runtime.model_filename == model),
        *(
            runtime
            for runtime in runtimes
            if runtime.model_filename and names.model_stem(runtime.model_filename) == stem
        ),
        *(runtime for runtime in runtimes if runtime.dynamic_model),
        # A server whose model nobody configured: it knows what it has, and refuses what it has not.
        *(
            runtime
            for runtime in runtimes
            if runtime.model_filename is None and runtime.type is not RuntimeType.COMFYUI
        ),
    ]
    serving = (runtime for runtime in candidates if draft.tasktype in runtime.tasktypes)
    found = next(serving, None) or next(iter(candidates), None)
    if found is not None:
        return found
    models = ", ".join(sorted({runtime.model_filename for runtime in runtimes if runtime.model_filename}))
    return FieldError(draft.at.runtime, f"no runtime has this model, and none changes models; there are {models}")


def _tasktype_problems(draft: Draft, runtime: RuntimeEnvironment) -> list[FieldError]:
    if draft.tasktype is None or draft.tasktype in runtime.tasktypes:
        return []
    served = ", ".join(runtime.tasktypes)
    return [FieldError(draft.at.tasktype, f"the runtime {runtime.name} does not serve this; it serves {served}")]


def _model_problems(draft: Draft, runtime: RuntimeEnvironment, services: Services) -> list[FieldError]:
    model, own = draft.model, runtime.model_filename
    if model is None or draft.is_bad(draft.at.model):
        return []
    if len(model) > _LONGEST_MODEL or not model.isprintable():
        return [FieldError(draft.at.model, f"must be a name of at most {_LONGEST_MODEL} printable characters")]
    is_own = own is not None and names.model_stem(model) == names.model_stem(own)
    if not runtime.dynamic_model:
        if own is None or is_own:
            return []
        message = f"the runtime {runtime.name} has the model {own} and does not change it; leave the field out"
    elif not services.models.is_configured:
        if is_own:
            return []
        message = "cannot be loaded: this deployment has no model bucket (modelBucketArn in config/config.yaml)"
    elif services.models.has(model):
        return []
    else:
        message = f"is not in the model bucket; upload it below {names.CHECKPOINT_PREFIX}, or name another"
    return [FieldError(draft.at.model, message)]


def _callback_problems(draft: Draft, named_hosts: Collection[str]) -> list[FieldError]:
    url = draft.options.callback_url
    if url is None:
        return []
    try:
        parse_target(url, named_hosts=named_hosts)
    except ValueError as error:
        return [FieldError(draft.at.callback_url or "callback_url", str(error))]
    return []


def _content_problems(draft: Draft, runtime: RuntimeEnvironment | None) -> list[FieldError]:
    """What is wrong inside the content. A custom server's content is its own business."""
    if draft.tasktype is None or draft.is_bad(draft.at.content) or (runtime and runtime.type is RuntimeType.CUSTOM):
        return []
    if draft.tasktype is TaskType.PIPELINE:
        is_workflow = runtime is not None and (
            runtime.type is RuntimeType.COMFYUI or workflow.looks_like_workflow(draft.content)
        )
        return workflow.problems(draft.content, draft.at.content) if is_workflow else []
    return draft.at.as_written(content.image_problems(draft.tasktype, draft.content, draft.at.in_content))
