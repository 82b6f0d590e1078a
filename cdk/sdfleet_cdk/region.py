"""What a region offers: the template is made for one, so that nothing in it has to find out at deployment.

Source for China: "Getting Started with Amazon Web Services in China", feature availability, by service.
"""

from __future__ import annotations

from dataclasses import dataclass

from sdfleet.config import is_china


@dataclass(frozen=True)
class Region:
    name: str

    @property
    def has_lambda_tracing(self) -> bool:
        """X-Ray takes traces of functions and of the API."""
        return not is_china(self.name)

    @property
    def tags_event_source_mappings(self) -> bool:
        return not is_china(self.name)
