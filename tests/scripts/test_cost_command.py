"""`sdfleet cost`: the table, its JSON, and its errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from sdfleet_cli.main import main


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["cost", *map(str, arguments)])


def document(*arguments: str | Path) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    loaded: dict[str, Any] = json.loads(result.output)
    return loaded


def test_the_guidances_totals_stand_beside_ours() -> None:
    output = run("--images", "1000000", "--seconds-per-image", "1.5").output
    assert "226.18" in output
    assert "210.24" in output
    assert "hour of g5.2xlarge, Spot" in output


def test_the_rows_add_up_to_the_totals() -> None:
    found = document()
    for part in ("requests", "further", "fixed", "guidance_requests", "guidance_fixed"):
        assert abs(sum(row["quantity"] * row["unit_price_usd"] for row in found[part]) - found[f"{part}_usd"]) < 0.006


def test_an_idle_deployment_is_told_item_by_item() -> None:
    found = document("--region", "us-west-2")
    assert found["fixed_usd"] <= 15
    assert {"alarm metric", "GB-month of container images"} <= {row["unit"] for row in found["fixed"]}


def test_all_of_it_is_less_than_the_guidances() -> None:
    found = document()
    ours = found["requests_usd"] + found["further_usd"] + found["fixed_usd"]
    assert ours < found["guidance_requests_usd"] + found["guidance_fixed_usd"]


def test_a_configuration_changes_the_bill(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("network: {egress: nat}\nmodelsRuntime:\n- {name: a, type: comfyui, fleet: {minSize: 1}}\n")
    units = {row["unit"] for row in document("--config", file)["fixed"]}
    assert {"hour of a NAT gateway", "hour of g5.2xlarge, Spot"} <= units


def test_another_instance_type_has_another_price() -> None:
    assert document("--instance-type", "g4dn.xlarge")["requests"][0]["unit_price_usd"] == 0.19


def test_a_region_without_prices_says_what_to_do() -> None:
    result = run("--region", "eu-west-1")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: There are no prices for eu-west-1")


def test_no_images_are_no_question() -> None:
    assert run("--images", "0").exit_code == 2
    assert run("--seconds-per-image", "0").exit_code == 2


def test_the_page_shows_what_the_command_prints() -> None:
    page = Path(__file__).parents[2] / "docs" / "operations" / "cost.md"
    printed = run("--images", "1000000", "--seconds-per-image", "1.5").output
    assert f"```\n{printed}```\n" in page.read_text(), "put the command's output into the page"
