"""The ports in memory: for tests and for trying things. They pass the same contract suite as `sdfleet.aws`."""
