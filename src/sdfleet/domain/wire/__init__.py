"""The wire formats: JSON to dataclass and back. Every bad field is reported at once, by its path."""
