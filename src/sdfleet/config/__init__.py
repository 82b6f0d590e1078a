"""The configuration file: one pydantic model for every reader of it. Never in the Lambda package."""
