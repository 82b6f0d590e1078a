"""A section of the EKS guidance's configuration while it is read: what nobody took at the end has no counterpart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sdfleet.config.problem import Problem
from sdfleet.domain.content import Path

#: Why a key of the guidance means nothing here. The others are not the guidance's either.
_REASONS = {
    "namespace": "there are no Kubernetes namespaces here",
    "chartRepository": "there are no Helm charts here",
    "chartVersion": "there are no Helm charts here",
    "clusterComponents": "there is no cluster whose components need machines",
    "queueAgent": "the api-scheduler takes the queue agent's place; images.scheduler is for one of ours only",
    "amiFamily": "the instances run AWS's GPU AMI, or one of the image pipeline's",
    "osVolume": "an instance has one volume, sized for both",
    "deleteOnTermination": "volumes always go with their instance",
    "instanceStorePolicy": "models always lie on the instance's own NVMe",
    "userData": "the instances' start is the deployment's own; put what you need into an AMI (amiId)",
    "securityGroupSelector": "the fleets have a security group of their own, without inbound rules",
    "subnetSelector": "name an existing VPC's subnets under network.subnetIds",
    "instanceProfile": "each fleet has a role of its own",
    "labels": "there are no Kubernetes labels here; tags are for cost reports",
    "annotations": "there are no Kubernetes annotations here",
    "extraRequirements": "instanceTypes and zones say which machines there may be",
    "extraTaints": "each fleet serves its runtime only",
    "resourceLimits": "maxSize limits the fleet",
    "consolidation": "an instance that has nothing to do is removed after scaling.cooldownS",
    "disruption": "an instance that has nothing to do is removed after scaling.cooldownS",
    "modelMountPath": "models are put where the runtime's server looks for them",
    "imagePullPolicy": "a release names its container images by digest",
    "resources": "each runtime has a machine of its own",
    "persistence": "models come from the model bucket",
    "serviceAccountName": "each fleet has a role of its own",
    "replicas": "minSize and maxSize say how many instances there are",
    "enabled": "fleets always scale, between minSize and maxSize",
    "pollingInterval": "the fast scaler reads the queue every few seconds",
    "scaleOnInFlight": "messages in flight always count when a fleet shrinks",
    "extraHPAConfig": "there is no Horizontal Pod Autoscaler here",
}


@dataclass
class EksSection:
    """Keys are taken out; what a reader returns may still be of any type."""

    path: Path
    left: dict[str, Any]
    inner: list[EksSection] = field(default_factory=list)

    def take(self, key: str) -> Any:
        """The key's value, and None where there is none or only an empty text."""
        value = self.left.pop(key, None)
        return None if value == "" else value

    def section(self, key: str) -> EksSection:
        """The section below the key; an empty one where there is none."""
        value = self.left.get(key)
        if isinstance(value, Mapping):
            del self.left[key]
        section = EksSection((*self.path, key), dict(value) if isinstance(value, Mapping) else {})
        self.inner.append(section)
        return section

    def without_counterpart(self) -> Iterator[Problem]:
        for key in self.left:
            reason = _REASONS.get(key, "it is no key of the EKS guidance that we know")
            yield Problem((*self.path, key), f"has no counterpart: {reason}")
        for section in self.inner:
            yield from section.without_counterpart()
