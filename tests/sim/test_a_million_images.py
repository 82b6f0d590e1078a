"""What a million images cost with everything counted: what docs/scaling.md says, and no more than that."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from sdfleet_cli.commands.simulate_million import GUIDANCE_USD, million

PAGE = Path(__file__).parents[2] / "docs" / "scaling.md"
RECOMMENDED = ("--instance-type", "g6e.xlarge", "--utilisation", "0.8", "--instances", "5")


def bill(*arguments: str) -> dict[str, float]:
    result = CliRunner().invoke(million, arguments)
    assert result.exit_code == 0, result.output
    rows = [line.rsplit(maxsplit=1) for line in result.output.splitlines() if line.strip()]
    return {what.strip(): float(usd) for what, usd in rows if usd.replace(".", "").isdigit()}


def test_at_the_guidances_assumptions_a_million_images_cost_at_most_245_dollars() -> None:
    found = bill()
    assert found["all of it"] == pytest.approx(
        found["instances, images and hours"] + found["stands there for a month anyway"], abs=0.011
    )
    assert found["all of it"] <= 245 < GUIDANCE_USD


def test_on_the_recommended_type_it_is_at_most_150_dollars() -> None:
    assert bill(*RECOMMENDED)["all of it"] <= 150


@pytest.mark.parametrize("arguments", [(), RECOMMENDED], ids=["guidance", "recommended"])
def test_the_page_has_the_bills(arguments: tuple[str, ...]) -> None:
    assert f"**{bill(*arguments)['all of it']:.2f} USD**" in PAGE.read_text()
