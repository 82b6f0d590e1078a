"""The fault tester: a local deployment under a seeded storm of faults, and an account of what became of every task."""
