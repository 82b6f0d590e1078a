"""What decides about capacity: ours, and what it is compared with."""
