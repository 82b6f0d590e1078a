"""Auto Scaling's calls on scaling policies. Rules: the service's API reference."""

from __future__ import annotations

from datetime import timedelta

from sdfleet_local.group import LocalGroup
from sdfleet_local.groups import Groups
from sdfleet_local.scaling_calls import Result, group_of
from sdfleet_local.scaling_errors import NotEmulated, ValidationError
from sdfleet_local.scaling_policies import (
    AdjustmentType,
    Aggregation,
    Policy,
    PolicyType,
    StepAdjustment,
    check_steps,
)
from sdfleet_local.scaling_wire import Request

_TYPES = ("SimpleScaling", "StepScaling", "TargetTrackingScaling", "PredictiveScaling")
_ADJUSTMENTS = tuple(AdjustmentType)
#: DescribePolicies: "The default value is 50 and the maximum value is 100."
_PAGE = 50
_MOST_RECORDS = 100
#: By type, what belongs to the other one (PutScalingPolicy, "Valid only if the policy type is ...").
_FOREIGN = {
    PolicyType.STEP: ("ScalingAdjustment", "Cooldown"),
    PolicyType.SIMPLE: ("StepAdjustments", "EstimatedInstanceWarmup", "MetricAggregationType"),
}


def put_policy(groups: Groups, request: Request) -> Result:
    group = group_of(groups, request)
    name = request.required("PolicyName")
    kind = request.one_of("PolicyType", _TYPES) or PolicyType.SIMPLE
    if kind not in tuple(PolicyType):
        raise NotEmulated(f"Local mode has no {kind} policies: nothing here has the metrics that they follow.")
    if request.has("MinAdjustmentStep"):
        raise NotEmulated("Local mode does not know MinAdjustmentStep; use MinAdjustmentMagnitude.")
    policy = group.scaling.policies.put(_read(request, group.name, name, PolicyType(kind)))
    return {"PolicyARN": policy.arn, "Alarms": []}


def describe_policies(groups: Groups, request: Request) -> Result:
    shown_groups = [group_of(groups, request)] if request.has("AutoScalingGroupName") else list(groups)
    wanted, types = request.texts("PolicyNames"), request.texts("PolicyTypes")
    shown = [
        policy.to_answer(group.scaling.policies.alarms_of(policy))
        for group in shown_groups
        for policy in group.scaling.policies.all()
        if (not wanted or policy.name in wanted or policy.arn in wanted) and (not types or policy.type in types)
    ]
    page = request.page(default=_PAGE, most=_MOST_RECORDS)
    return {"ScalingPolicies": page.of(shown), "NextToken": page.following(len(shown))}


def delete_policy(groups: Groups, request: Request) -> Result:
    """Its alarms stay; they set off nothing from now on."""
    group, policy = _find(groups, request)
    group.scaling.policies.delete(policy)
    return None


def execute_policy(groups: Groups, request: Request) -> Result:
    group, policy = _find(groups, request)
    value, threshold = request.number("MetricValue"), request.number("BreachThreshold")
    if policy.type is PolicyType.SIMPLE:
        if value is not None or threshold is not None:
            raise ValidationError("MetricValue and BreachThreshold are not supported for SimpleScaling policies")
        group.execute(policy, policy.adjustment, honors_cooldown=request.flag("HonorCooldown") or False)
        return None
    if request.has("HonorCooldown"):
        raise ValidationError("HonorCooldown is not supported for StepScaling policies")
    if value is None or threshold is None:
        raise ValidationError("MetricValue and BreachThreshold are required for StepScaling policies")
    adjustment = policy.adjustment_for(value, threshold)
    if adjustment is None:
        # "If you specify a metric value that doesn't correspond to a step adjustment for the policy, the call returns
        # an error."
        raise ValidationError(f"MetricValue {value} does not correspond to a step adjustment of policy {policy.name}")
    group.execute(policy, adjustment)
    return None


def _read(request: Request, group: str, name: str, kind: PolicyType) -> Policy:
    """Raises:
    ValidationError: a parameter is missing, wrong, or the other type's.
    """
    for foreign in _FOREIGN[kind]:
        if request.has(foreign):
            raise ValidationError(f"{foreign} is not supported for {kind} policies")
    if request.has("TargetTrackingConfiguration") or request.has("PredictiveScalingConfiguration"):
        raise ValidationError(f"A {kind} policy has no TargetTrackingConfiguration or PredictiveScalingConfiguration")
    adjustment_type = request.one_of("AdjustmentType", _ADJUSTMENTS)
    if adjustment_type is None:
        raise ValidationError(f"AdjustmentType must be specified for {kind} policies")
    magnitude = request.integer("MinAdjustmentMagnitude", least=1)
    if magnitude is not None and adjustment_type != AdjustmentType.PERCENT:
        raise ValidationError("MinAdjustmentMagnitude is supported with PercentChangeInCapacity only")
    steps = tuple(_read_step(one) for one in request.structures("StepAdjustments"))
    adjustment = request.integer("ScalingAdjustment", least=None)
    if kind is PolicyType.STEP:
        check_steps(steps)
    elif adjustment is None:
        raise ValidationError("ScalingAdjustment must be specified for SimpleScaling policies")
    adjustments = [step.adjustment for step in steps] if adjustment is None else [adjustment]
    if adjustment_type == AdjustmentType.EXACT and min(adjustments) < 0:
        raise ValidationError("For ExactCapacity, ScalingAdjustment must be a non-negative value")
    return Policy(
        name=name,
        group=group,
        type=kind,
        adjustment_type=AdjustmentType(adjustment_type),
        steps=steps,
        adjustment=adjustment or 0,
        min_magnitude=magnitude,
        aggregation=Aggregation(request.one_of("MetricAggregationType", tuple(Aggregation)) or Aggregation.AVERAGE),
        warmup=_seconds(request.integer("EstimatedInstanceWarmup")),
        cooldown=_seconds(request.integer("Cooldown")),
        is_enabled=request.flag("Enabled") is not False,
    )


def _read_step(request: Request) -> StepAdjustment:
    adjustment = request.integer("ScalingAdjustment", least=None)
    if adjustment is None:
        raise ValidationError("ScalingAdjustment must be specified for each of StepAdjustments")
    return StepAdjustment(
        request.number("MetricIntervalLowerBound"), request.number("MetricIntervalUpperBound"), adjustment
    )


def _find(groups: Groups, request: Request) -> tuple[LocalGroup, Policy]:
    """Raises:
    ValidationError: there is no such policy.
    """
    sought = request.required("PolicyName")
    candidates = [group_of(groups, request)] if request.has("AutoScalingGroupName") else list(groups)
    for group in candidates:
        if (policy := group.scaling.policies.find(sought)) is not None:
            return group, policy
    raise ValidationError(f"Scaling policy {sought} not found")


def _seconds(number: int | None) -> timedelta | None:
    return None if number is None else timedelta(seconds=number)
