"""What outlives a process: the table of task records and the buckets."""

from __future__ import annotations

from datetime import timedelta

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_s3 as s3
from constructs import Construct

from sdfleet.config import Config
from sdfleet.domain import names
from sdfleet.domain.task import RECORD_LIFETIME
from sdfleet_cdk import nag
from sdfleet_cdk.region import Region

#: Keys and index of the table. `sdfleet.aws.task_table` has them too and may not be imported here; a test compares.
PARTITION_KEY = "pk"
TTL_ATTRIBUTE = "ttl"
DUE_INDEX = "due"
DUE_SHARD = "due_shard"
DUE_AT = "due_at"

#: Contents and uploads are read as long as the record lives that names them; S3 deletes once a day.
CONTENT_LIFETIME = RECORD_LIFETIME + timedelta(days=1)
#: Somebody has to find the time to look at them.
DEAD_LETTER_LIFETIME = timedelta(days=90)
#: A build takes an hour.
BUILD_SOURCE_LIFETIME = timedelta(days=7)
#: Nothing of ours takes a day to upload.
_UPLOAD_PATIENCE = timedelta(days=1)

_NO_BACKUPS = "retention.backupDays is null: whoever runs the deployment gives up the table's continuous backups."
_NO_ACCESS_LOG = (
    "Access logs would be a bucket more, whose objects cost more than what they tell: the writers are two roles, and"
    " CloudTrail data events can be switched on where an audit asks for them."
)


def bucket_name(deployment_id: str, purpose: str, region: Region) -> str:
    """Always the same for a deployment, so that a later one finds what an earlier one has left."""
    return f"{names.bucket_stem(deployment_id, purpose)}-{cdk.Aws.ACCOUNT_ID}-{region.name}"


class Storage(Construct):
    def __init__(
        self, scope: Construct, construct_id: str, *, deployment_id: str, config: Config, region: Region
    ) -> None:
        super().__init__(scope, construct_id)
        _task_table(self, names.table_name(deployment_id), config.retention.backup_days)
        #: None: the configuration names a bucket of the user's.
        self.output_bucket: s3.Bucket | None = None
        if config.outputs.bucket_name is None:
            self.output_bucket = _output_bucket(self, bucket_name(deployment_id, "output", region), config)
        _inbox_bucket(self, bucket_name(deployment_id, "inbox", region))


def _task_table(scope: Construct, name: str, backup_days: int | None) -> dynamodb.Table:
    text = dynamodb.AttributeType.STRING
    table = dynamodb.Table(
        scope,
        "Tasks",
        table_name=name,
        partition_key=dynamodb.Attribute(name=PARTITION_KEY, type=text),
        billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
        time_to_live_attribute=TTL_ATTRIBUTE,
        point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
            point_in_time_recovery_enabled=backup_days is not None, recovery_period_in_days=backup_days
        ),
        # Only buckets stay when a deployment goes. DynamoDB keeps a last backup of a table with continuous ones for 35
        # days (Developer Guide, "Deleting a table with point-in-time recovery enabled").
        removal_policy=cdk.RemovalPolicy.DESTROY,
    )
    table.add_global_secondary_index(
        index_name=DUE_INDEX,
        partition_key=dynamodb.Attribute(name=DUE_SHARD, type=text),
        sort_key=dynamodb.Attribute(name=DUE_AT, type=text),
        projection_type=dynamodb.ProjectionType.KEYS_ONLY,
    )
    keep_when_replaced(table)
    if backup_days is None:
        nag.acknowledge(table, {"DDB3": _NO_BACKUPS})
    return table


def _output_bucket(scope: Construct, name: str, config: Config) -> s3.Bucket:
    days = config.outputs.retention_days
    rules = [s3.LifecycleRule(abort_incomplete_multipart_upload_after=_days(_UPLOAD_PATIENCE))]
    if days is not None:
        rules.append(s3.LifecycleRule(expiration=cdk.Duration.days(days)))
    # Kept with its pictures; a bucket that a failed first deployment made and nobody used is not.
    return _bucket(scope, "Output", name, rules, removal_policy=cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE)


def _inbox_bucket(scope: Construct, name: str) -> s3.Bucket:
    rules = [
        s3.LifecycleRule(abort_incomplete_multipart_upload_after=_days(_UPLOAD_PATIENCE)),
        *(
            s3.LifecycleRule(prefix=prefix, expiration=_days(lifetime))
            for prefix, lifetime in (
                (names.INBOX_PREFIX, CONTENT_LIFETIME),
                (names.UPLOAD_PREFIX, CONTENT_LIFETIME),
                (names.DEAD_LETTER_PREFIX, DEAD_LETTER_LIFETIME),
                (names.BUILD_SOURCE_PREFIX, BUILD_SOURCE_LIFETIME),
            )
        ),
    ]
    # destroy.sh empties it; CloudFormation deletes no bucket that has something in it.
    bucket = _bucket(scope, "Inbox", name, rules, removal_policy=cdk.RemovalPolicy.DESTROY)
    keep_when_replaced(bucket)
    return bucket


def _bucket(
    scope: Construct,
    construct_id: str,
    name: str,
    rules: list[s3.LifecycleRule],
    *,
    removal_policy: cdk.RemovalPolicy,
) -> s3.Bucket:
    bucket = s3.Bucket(
        scope,
        construct_id,
        bucket_name=name,
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
        encryption=s3.BucketEncryption.S3_MANAGED,
        enforce_ssl=True,
        minimum_tls_version=1.2,
        lifecycle_rules=rules,
        removal_policy=removal_policy,
    )
    nag.acknowledge(bucket, {"S1": _NO_ACCESS_LOG})
    return bucket


def keep_when_replaced(construct: Construct) -> None:
    """A change that needs a new one leaves the old one where it is, with what it holds."""
    resource = construct.node.default_child
    assert isinstance(resource, cdk.CfnResource)  # noqa: S101  every L2 has one
    resource.cfn_options.update_replace_policy = cdk.CfnDeletionPolicy.RETAIN


def _days(time: timedelta) -> cdk.Duration:
    return cdk.Duration.days(time.days)
