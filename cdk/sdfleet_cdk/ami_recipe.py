"""What `ami/imagebuilder` describes: which documents make an AMI, in which order."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sdfleet.config import RuntimeConfig

_DIRECTORY = Path(__file__).resolve().parents[2] / "ami" / "imagebuilder"
#: Families of Inferentia and Trainium (EC2 User Guide, "Accelerated computing").
_NEURON_FAMILIES = ("inf", "trn")


@dataclass(frozen=True)
class ComponentDocument:
    #: Of the file, which is the document's own.
    text: str

    @property
    def name(self) -> str:
        return str(self._parsed["name"])

    @property
    def description(self) -> str:
        return str(self._parsed["description"])

    @property
    def parameters(self) -> tuple[str, ...]:
        """Those that it takes and has no default for."""
        declared = self._parsed.get("parameters", [])
        return tuple(name for one in declared for name, about in one.items() if "default" not in about)

    @property
    def _parsed(self) -> dict[str, Any]:
        parsed: dict[str, Any] = yaml.safe_load(self.text)
        return parsed


@dataclass(frozen=True)
class Recipe:
    name: str
    description: str
    parent_image: str
    documents: tuple[ComponentDocument, ...]

    def digest(self, *further: str) -> str:
        """Image Builder changes no recipe and no component: another content is another name."""
        content = hashlib.sha256()
        for text in (self.name, self.parent_image, *(one.text for one in self.documents), *further):
            content.update(text.encode() + b"\0")
        return content.hexdigest()[:8]


def recipe_for(runtime: RuntimeConfig) -> Recipe:
    """The one for the accelerators of the fleet's instance types."""
    return read_recipe("recipe-neuron" if has_neuron(runtime) else "recipe")


def has_neuron(runtime: RuntimeConfig) -> bool:
    return all(one.startswith(_NEURON_FAMILIES) for one in runtime.fleet.instance_types)


def read_recipe(name: str) -> Recipe:
    described = yaml.safe_load((_DIRECTORY / f"{name}.yaml").read_text(encoding="utf-8"))
    return Recipe(
        name=described["name"],
        description=described["description"],
        parent_image=described["parentImage"],
        documents=tuple(
            ComponentDocument((_DIRECTORY / folder / f"{document}.yaml").read_text(encoding="utf-8"))
            for folder in ("components", "tests")
            for document in described[folder]
        ),
    )
