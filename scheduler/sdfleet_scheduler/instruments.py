"""What /metrics shows."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

#: From a cached picture to a long video.
_GENERATION_BUCKETS = (0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300, 600, 1800, 3600)
#: From a model that is in memory to a large one over a slow network.
_SWITCH_BUCKETS = (0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300, 600)


class Instruments:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.received = Counter("sdfleet_messages_received", "Messages received.", registry=self.registry)
        self.ended = Counter("sdfleet_tasks_ended", "Tasks that ended here.", ["status"], registry=self.registry)
        self.requeued = Counter(
            "sdfleet_tasks_requeued", "Tasks given back to the queue.", ["reason"], registry=self.registry
        )
        self.dead_lettered = Counter(
            "sdfleet_messages_dead_lettered", "Messages kept as dead letters.", registry=self.registry
        )
        self.generation = Histogram(
            "sdfleet_generation_seconds",
            "Time of the runtime on a task.",
            buckets=_GENERATION_BUCKETS,
            registry=self.registry,
        )
        self.busy = Counter(
            "sdfleet_runtime_busy_seconds", "Time in which the runtime had a task.", registry=self.registry
        )
        self.model_switch = Histogram(
            "sdfleet_model_switch_seconds",
            "Time until the runtime had another model, by where it had it from.",
            ["source"],
            buckets=_SWITCH_BUCKETS,
            registry=self.registry,
        )
        self.in_hand = Gauge("sdfleet_tasks_in_hand", "Messages held now.", registry=self.registry)
        self.ready = Gauge("sdfleet_runtime_ready", "1 if the runtime is ready for a task.", registry=self.registry)
