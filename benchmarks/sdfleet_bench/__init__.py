"""What `scripts/bench.sh` runs: stubs with fixed latencies, loads, and what is measured while they last."""
