"""Something wrong in a configuration, and where."""

from __future__ import annotations

from dataclasses import dataclass

from sdfleet.domain.content import Path, format_path


@dataclass(frozen=True)
class Problem:
    #: Where: `("modelsRuntime", 0, "name")`; empty for the whole file.
    path: Path
    #: What is wrong and what to do; reads on from the path.
    message: str

    @property
    def text(self) -> str:
        return f"{format_path(self.path)} {self.message}" if self.path else self.message
