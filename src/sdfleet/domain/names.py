"""Every name that crosses a process border: keys, parameter paths, metrics. Nothing else formats them."""

from __future__ import annotations

import hashlib
import re

#: Metric namespace of everything we publish.
METRIC_NAMESPACE = "sdfleet"

#: Of the metrics per fleet: its group's name.
FLEET_DIMENSION = "Fleet"
#: Beside the fleet's, of what is counted for each release: its version.
RELEASE_DIMENSION = "Release"
#: Stands where no release has been yet: `image-version`, `previous-version`.
NO_RELEASE = "unreleased"
#: Of the metrics per deployment: its id.
DEPLOYMENT_DIMENSION = "Deployment"
#: Messages kept as dead letters.
DEAD_LETTERS = "DeadLetters"
#: Counts of ended tasks, and of tasks that an interruption sent back.
TASKS_SUCCEEDED = "TasksSucceeded"
TASKS_FAILED = "TasksFailed"
TASKS_CANCELLED = "TasksCancelled"
TASKS_INTERRUPTED = "TasksInterrupted"
#: Runs that the runtime failed, whatever became of their tasks; per fleet, and per release.
TRIES_FAILED = "TriesFailed"
#: One a minute from each instance whose runtime has been away for too long; per fleet, and per release.
INSTANCES_UNREADY = "InstancesUnready"
#: Seconds from acceptance to the first start, and from there to the end.
QUEUE_SECONDS = "QueueSeconds"
RUN_SECONDS = "RunSeconds"
#: One a minute from each instance: their sum over a minute is the number of instances.
SPOT_INSTANCES = "SpotInstances"
ON_DEMAND_INSTANCES = "OnDemandInstances"
#: Of the fast scaler, every few seconds while there is work: tasks that wait or run, by instance, and the seconds that
#: all of them take.
BACKLOG_PER_INSTANCE = "BacklogPerInstance"
QUEUED_SECONDS = "QueuedSeconds"
#: Releases that the fast scaler launches no more of, because they die at boot; once for each look.
BOOT_FAILURES = "BootFailures"
#: Per fleet: instances that made their first picture, those that gave up before, and the seconds from launch to it.
BOOTS_COMPLETED = "BootsCompleted"
BOOTS_FAILED = "BootsFailed"
BOOT_SECONDS = "BootSeconds"
#: Counts per deployment. A callback's failed try comes again; a failed callback is over.
SWEPT_TASKS = "SweptTasks"
REQUESTS_ACCEPTED = "RequestsAccepted"
REQUESTS_REFUSED = "RequestsRefused"
CALLBACKS_DELIVERED = "CallbacksDelivered"
CALLBACK_TRIES_FAILED = "CallbackTriesFailed"
CALLBACKS_FAILED = "CallbacksFailed"

#: Tags of instances, readable in the metadata service: what to run, fixed by the launch template's version.
RELEASE_TAG = "sdfleet-release"
SCHEDULER_IMAGE_TAG = "sdfleet-scheduler-image"
RUNTIME_IMAGE_TAG = "sdfleet-runtime-image"
#: Release parameter: the container images of the AMI that is built next, one a line, the scheduler's first.
BAKED_IMAGES = "baked-images"

#: Where the seeds' model bucket keeps its checkpoints (seed 001, Model storage).
CHECKPOINT_PREFIX = "Stable-diffusion/"
UPLOAD_PREFIX = "uploads/"
INBOX_PREFIX = "inbox/"
DEAD_LETTER_PREFIX = "dead-letters/"
BUILD_SOURCE_PREFIX = "build-sources/"

#: Stands in a record for the place of a content that is an item of the table.
CONTENT_IN_TABLE = "table"
#: Begins the table keys of contents: what may read records need not read these.
CONTENT_KEY_PREFIX = "content/"

TASK_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
RUNTIME_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")

#: With the longest purpose ("-output") and `-{account}-{region}` it fills S3's 63 characters.
_LONGEST_BUCKET_STEM = 27

_SUFFIX_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


def derived_suffix(task_id: str, run: str) -> str:
    """The four characters in a run's object names: the same for every attempt, so that a replay overwrites."""
    digest = int.from_bytes(hashlib.sha256(f"{task_id}\n{run}".encode()).digest()[:8])
    letters = []
    for _ in range(4):
        digest, index = divmod(digest, len(_SUFFIX_ALPHABET))
        letters.append(_SUFFIX_ALPHABET[index])
    return "".join(letters)


def output_location(bucket: str, prefix: str, task_id: str) -> str:
    return s3_url(bucket, f"{prefix.rstrip('/')}/{task_id}")


def artifact_key(prefix: str, task_id: str, run: str, number: int, extension: str) -> str:
    """Key of the `number`-th file of a run, from 1."""
    return f"{prefix.rstrip('/')}/{task_id}/{task_id}-{derived_suffix(task_id, run)}-{number}.{extension}"


def output_key(prefix: str, task_id: str, run: str) -> str:
    """Key of the `.out` object: the runtime's full answer."""
    return f"{prefix.rstrip('/')}/{task_id}/{task_id}-{derived_suffix(task_id, run)}.out"


def inbox_key(task_id: str, run: str) -> str:
    """Key in the inbox bucket of a submission's content that is too large for an item of the table."""
    return f"{INBOX_PREFIX}{task_id}/{run}.json"


def is_inbox_location(url: str, bucket: str) -> bool:
    """Whether `url` is a content that a submission put into the inbox bucket `bucket`: nothing else is read as one."""
    part = TASK_ID.pattern
    return re.fullmatch(rf"s3://{re.escape(bucket)}/{INBOX_PREFIX}{part}/{part}\.json", url) is not None


def upload_key(upload_id: str, extension: str) -> str:
    return f"{UPLOAD_PREFIX}{upload_id}.{extension}"


def build_source_key(digest: str) -> str:
    """What container images are built from on the account: an archive by its content's hash."""
    return f"{BUILD_SOURCE_PREFIX}{digest}.zip"


def dead_letter_key(queue: str, message_id: str) -> str:
    """One object a message: a message that is dead-lettered twice overwrites itself."""
    return f"{DEAD_LETTER_PREFIX}{queue}/{message_id}.json"


def s3_url(bucket: str, key: str) -> str:
    return f"s3://{bucket}/{key}"


def parse_s3_url(url: str) -> tuple[str, str]:
    """Bucket and key of an `s3://bucket/key` URL.

    Raises:
        ValueError: it is none.
    """
    match = re.fullmatch(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(.+)", url, flags=re.DOTALL)
    if match is None:
        raise ValueError("not an s3://bucket/key URL")
    return match[1], match[2]


def model_stem(name: str) -> str:
    """`v1-5` for `v1-5.safetensors`, `v1-5.safetensors [6ce0161689]` and `v1-5`: the WebUI takes all of them."""
    name = re.sub(r"\s*\[[0-9a-f]{8,64}\]$", "", name.strip())
    return re.sub(r"\.(safetensors|ckpt|pt|pth|bin|gguf)$", "", name.rsplit("/", 1)[-1])


def camel_case(runtime: str) -> str:
    """The runtime's name in output names: `sd-xl` → `SdXl`."""
    return "".join(part[:1].upper() + part[1:] for part in runtime.split("-") if part)


def fleet_name(deployment_id: str, runtime: str) -> str:
    """Name of the Auto Scaling group."""
    return f"{deployment_id}-{runtime}"


def termination_hook_name(deployment_id: str, runtime: str) -> str:
    """Name of the group's lifecycle hook for instances that go."""
    return f"{fleet_name(deployment_id, runtime)}-termination"


def launch_hook_name(deployment_id: str, runtime: str) -> str:
    """Name of the group's lifecycle hook for instances that come."""
    return f"{fleet_name(deployment_id, runtime)}-launch"


def fleet_log_group(deployment_id: str, runtime: str) -> str:
    """Log group of a fleet's instances; a stream each for the scheduler, the runtime and the boot."""
    return f"/sdfleet/{deployment_id}/{runtime}"


def image_repository(deployment_id: str, part: str) -> str:
    """ECR repository of a deployment's own container images. `part`: `scheduler`, or a runtime's name.

    ECR takes lower-case letters only.
    """
    return f"sdfleet/{deployment_id.lower()}/{part}"


def image_build_project(deployment_id: str) -> str:
    """The CodeBuild project that builds container images on the account."""
    return f"{deployment_id}-images"


#: Key in the table: the instance types whose Spot prices are kept.
SPOT_TYPES_KEY = "spot"


def rollouts_key(runtime: str) -> str:
    """Table key of a fleet's rollouts."""
    return f"rollouts/{runtime}"


def scaler_key(runtime: str) -> str:
    """Table key of what the fast scaler remembers of a fleet."""
    return f"scaler/{runtime}"


def content_key(task_id: str, run: str) -> str:
    """Table key of an accepted content that is small enough for an item."""
    return f"{CONTENT_KEY_PREFIX}{task_id}/{run}"


def instance_key(instance_id: str) -> str:
    """Table key of what an instance says of itself."""
    return f"instance/{instance_id}"


def wake_topic_name(deployment_id: str) -> str:
    """Name of the topic through which a task that is handed in wakes the fast scaler."""
    return f"{deployment_id}-wake"


def scaler_schedule_name(deployment_id: str) -> str:
    """Name of the rule that calls the fast scaler every minute, while there is something to decide."""
    return f"{deployment_id}-fleet-scaler"


def boot_phase_metric(phase: str) -> str:
    """Metric of one phase of a boot, in seconds: `scheduler_image` → `BootSchedulerImageSeconds`."""
    return f"Boot{camel_case(phase.replace('_', '-'))}Seconds"


def boots_key(runtime: str, release: str) -> str:
    """Table key of how the boots of a release in a fleet end (boot_files/give-up.sh makes it too)."""
    return f"boots/{runtime}/{release}"


def spot_prices_key(instance_type: str) -> str:
    """Key in the table: what an instance type cost, zone by zone."""
    return f"{SPOT_TYPES_KEY}#{instance_type}"


def callback_queue_name(deployment_id: str) -> str:
    """Name of the queue of notices to post; its dead-letter queue's is `dead_letter_queue_name` of it."""
    return f"{deployment_id}-callbacks"


def dead_letter_queue_name(queue_name: str) -> str:
    return f"{queue_name}-dead-letters"


def callback_secret_parameter(deployment_id: str) -> str:
    """SSM path of the secrets that sign callbacks."""
    return f"/sdfleet/{deployment_id}/callback-secret"


def request_topic_name(deployment_id: str) -> str:
    return f"{deployment_id}-requests"


def result_topic_name(deployment_id: str) -> str:
    return f"{deployment_id}-results"


def submission_queue_name(deployment_id: str) -> str:
    """Name of the queue of what came to the request topic unaccepted."""
    return f"{deployment_id}-submissions"


def table_name(deployment_id: str) -> str:
    return f"{deployment_id}-tasks"


def bucket_stem(deployment_id: str, purpose: str) -> str:
    """First part of a bucket's name in the cloud; `-{account}-{region}` follows, for buckets' names are everybody's.

    S3 takes 63 lower-case characters; account and the longest region take 28.
    """
    stem = deployment_id.lower()
    if stem != deployment_id or len(stem) > _LONGEST_BUCKET_STEM:
        digest = hashlib.sha256(deployment_id.encode()).hexdigest()[:6]
        stem = f"{stem[: _LONGEST_BUCKET_STEM - 7].rstrip('-')}-{digest}"
    return f"{stem}-{purpose}"


def link_parameter(deployment_id: str, name: str) -> str:
    """SSM path of what signed links need, e.g. name = `domain-name`."""
    return f"/sdfleet/{deployment_id}/links/{name}"


def function_log_group(deployment_id: str, function: str) -> str:
    """Log group of a Lambda function. No runtime's can be the same: theirs have no further part."""
    return f"/sdfleet/{deployment_id}/functions/{function}"


def access_log_group(deployment_id: str) -> str:
    """Log group of the API's access log."""
    return f"/sdfleet/{deployment_id}/api/access"


def alarm_topic_name(deployment_id: str) -> str:
    return f"{deployment_id}-alarms"


def alarm_name(owner: str, alarm: str) -> str:
    """`owner`: a fleet's name or a deployment's id."""
    return f"{owner}-{alarm}"


def trial_alarms(deployment_id: str, runtime: str) -> tuple[str, str, str]:
    """Names of the alarms on the release that is on trial: failed runs, instances that are not ready, dead letters.

    They are there while a rollout is under way.
    """
    fleet = fleet_name(deployment_id, runtime)
    return (
        alarm_name(fleet, "trial-failures"),
        alarm_name(fleet, "trial-unready"),
        alarm_name(fleet, "trial-dead-letters"),
    )


def rollout_alarms(deployment_id: str, runtime: str) -> tuple[str, ...]:
    """Names of the alarms that turn a rollout of the runtime back.

    Not those on the whole fleet's failures: what fails already must not keep its own mend from being deployed.
    """
    fleet = fleet_name(deployment_id, runtime)
    return (*trial_alarms(deployment_id, runtime), alarm_name(fleet, "no-instance"))


def deployment_parameters(deployment_id: str) -> str:
    """SSM path above everything that a deployment keeps there."""
    return f"/sdfleet/{deployment_id}"


def ami_pipeline_name(deployment_id: str, runtime: str) -> str:
    """Of what makes a fleet's AMI (EC2 Image Builder)."""
    return f"{fleet_name(deployment_id, runtime)}-ami"


def release_parameter(deployment_id: str, runtime: str, name: str) -> str:
    """SSM path, e.g. name = `image-version`."""
    return f"{deployment_parameters(deployment_id)}/{runtime}/{name}"
