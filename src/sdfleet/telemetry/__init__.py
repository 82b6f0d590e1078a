"""Structured logs and embedded metrics. Standard library only: the request handlers import it."""
