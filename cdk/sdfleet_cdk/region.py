"""What a region offers: the template is made for one, so that nothing in it has to find out at deployment.

Source for China: "Getting Started with Amazon Web Services in China", feature availability, by service.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Region:
    name: str

    @property
    def is_china(self) -> bool:
        return self.name.startswith("cn-")

    @property
    def partition(self) -> str:
        """The second part of every ARN."""
        if self.is_china:
            return "aws-cn"
        return "aws-us-gov" if self.name.startswith("us-gov-") else "aws"

    @property
    def has_lambda_tracing(self) -> bool:
        """X-Ray takes traces of functions and of the API."""
        return not self.is_china

    @property
    def has_cdn(self) -> bool:
        """CloudFront without a domain of one's own (in China it needs one, with an ICP licence)."""
        return not self.is_china and not self.name.startswith("us-gov-")

    @property
    def tags_event_source_mappings(self) -> bool:
        return not self.is_china
