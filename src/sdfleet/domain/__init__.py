"""The pure core: tasks, their transitions, retry decisions, the wire formats and names. No I/O, no clock."""
