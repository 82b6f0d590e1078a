"""What the CloudWatch agent measures and reads on an instance; a test checks it against the schema in `ami`."""

from __future__ import annotations

from typing import Any

from sdfleet.config import RuntimeConfig
from sdfleet.domain import names
from sdfleet_cdk.ami_recipe import has_neuron

_INTERVAL_S = 60
#: The agent's prefix of the metrics that it makes of nvidia-smi's words.
GPU_METRIC_PREFIX = "nvidia_smi_"
#: nvidia-smi's words, with the units of CloudWatch; it has none for degrees and watts.
_GPU_UNITS = {
    "utilization_gpu": "Percent",
    "memory_used": "Megabytes",
    "temperature_gpu": "None",
    "power_draw": "None",
}
#: The root, and the instance's own NVMe with the models.
_DISKS = ("/", "/opt/dlami/nvme")
#: The launch template's version says it, not the user data: gpu-metrics.sh puts the instance's own there.
RELEASE_PLACEHOLDER = "@RELEASE@"
_INSTANCE_DIMENSIONS = ("Deployment", "Runtime", "Release", "InstanceId")
#: Grows while an instance boots; what is in it explains a boot that never reached its units.
_BOOT_LOG = "/var/log/cloud-init-output.log"


def agent_settings(deployment_id: str, runtime: RuntimeConfig) -> dict[str, Any]:
    """Each measurement once for the fleet and, where the configuration wants it, once for the instance.

    With the agent's own dimensions there is none: each GPU's serial number and each device's name would make one.
    """
    labels = {names.FLEET_DIMENSION: names.fleet_name(deployment_id, runtime.name)}
    aggregates = [[names.FLEET_DIMENSION]]
    if runtime.fleet.instance_metrics:
        labels |= {"Deployment": deployment_id, "Runtime": runtime.name, "Release": RELEASE_PLACEHOLDER}
        aggregates.append(list(_INSTANCE_DIMENSIONS))
    return {
        "agent": {"metrics_collection_interval": _INTERVAL_S},
        "metrics": {
            "namespace": names.METRIC_NAMESPACE,
            "force_flush_interval": runtime.fleet.measurements_sent_s,
            # For the fleet's aggregate too: the agent makes one only of fewer dimensions than the measurement has
            # (aws/amazon-cloudwatch-agent, plugins/outputs/cloudwatch, ProcessRollup).
            "append_dimensions": {"InstanceId": "${aws:InstanceId}"},
            "aggregation_dimensions": aggregates,
            "metrics_collected": {
                **({} if has_neuron(runtime) else {"nvidia_gpu": _measured(_GPU_UNITS, labels)}),
                "mem": _measured({"used_percent": "Percent"}, labels),
                "disk": {
                    **_measured({"used_percent": "Percent"}, labels),
                    "resources": list(_DISKS),
                    "drop_device": True,
                },
            },
        },
        "logs": {
            "logs_collected": {
                "files": {
                    "collect_list": [
                        {
                            "file_path": _BOOT_LOG,
                            "log_group_name": names.fleet_log_group(deployment_id, runtime.name),
                            # Beside those of the containers and of a boot that failed, which others write.
                            "log_stream_name": "{instance_id}/cloud-init",
                        }
                    ]
                }
            }
        },
    }


def _measured(units: dict[str, str], labels: dict[str, str]) -> dict[str, Any]:
    return {
        "measurement": [{"name": name, "unit": unit} for name, unit in units.items()],
        "append_dimensions": labels,
        "drop_original_metrics": list(units),
    }
