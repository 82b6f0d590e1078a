"""A deployment on an account: the steps that make it, each resumable, and those that take it away."""
