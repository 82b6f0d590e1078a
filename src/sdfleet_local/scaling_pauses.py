"""Instances that die at boot, or are abandoned there, are replaced more and more slowly, and without an end.

Auto Scaling keeps replacing them; how its pauses grow is not documented [U]. Who stops the growth is the fast scaler.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sdfleet.telemetry import logs
from sdfleet_local.scaling_templates import Template

log = logs.get_logger(__name__)

#: The first death is made good at once, the next after these.
FIRST_BACKOFF = timedelta(seconds=1)
LONGEST_BACKOFF = timedelta(seconds=30)


class LaunchPause:
    def __init__(self) -> None:
        #: In a row, up to now.
        self.deaths = 0
        #: What the last one said.
        self.last_words = ""
        self.died_at: datetime | None = None
        self._template: Template | None = None
        self._ends_at: datetime | None = None

    def note_death(self, template: Template, last_words: str, now: datetime) -> None:
        self.deaths = self.deaths + 1 if template == self._template else 1
        self.last_words, self.died_at = last_words, now
        self._template, self._ends_at = template, None
        if self.deaths > 1:
            pause = min(FIRST_BACKOFF * 2 ** min(self.deaths - 2, 10), LONGEST_BACKOFF)
            self._ends_at = now + pause
            log.warning("instance.died_at_boot", in_a_row=self.deaths, next_after_s=pause.total_seconds())

    def note_service(self, template: Template) -> None:
        """An instance has come into service: its template is well."""
        if template == self._template:
            self.deaths, self.last_words, self.died_at = 0, "", None
            self._template, self._ends_at = None, None

    def holds(self, template: Template, now: datetime) -> bool:
        """Whether it is too early for the next. What died says nothing about another template."""
        return template == self._template and self._ends_at is not None and now < self._ends_at
