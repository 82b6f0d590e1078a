"""The api-scheduler: one process on each GPU instance, between the fleet's queue and the local runtime."""
