"""The tables of docs/scaling.md are what the study gives; those that take seconds are made again here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from sdfleet_cli.commands.simulate import simulate
from sdfleet_sim.cases import CASES

DOCUMENT = Path(__file__).parents[2] / "docs" / "scaling.md"
#: Case, and the seeds that the document names.
SMALL = (("quiet", 5), ("burst", 5))


def table_of(case: str, text: str) -> str:
    found = re.search(rf"<!-- sdfleet simulate study --case {case} -->\n(.*?)\n<!-- end -->", text, re.DOTALL)
    assert found is not None, f"there is no table of {case}"
    return found[1]


def rows_of(table: str) -> list[list[str]]:
    """Without the heading."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def usd(cell: str) -> float:
    return float(cell.replace(",", ""))


@pytest.mark.parametrize(("case", "seeds"), SMALL)
def test_the_small_tables_of_the_study_are_current(case: str, seeds: int) -> None:
    result = CliRunner().invoke(simulate, ["study", "--case", case, "--seeds", str(seeds)])
    assert result.exit_code == 0, result.output
    text = DOCUMENT.read_text()
    assert f"`sdfleet simulate study --case {case} --seeds {seeds}`" in text
    written, made = (rows_of(table_of(case, one)) for one in (text, result.output))
    assert [row[:-2] for row in written] == [row[:-2] for row in made], (
        "run: sdfleet simulate study --into docs/scaling.md"
    )
    # An alarm more on the standing bill is no reason to write the study anew.
    for before, now in zip(written, made, strict=True):
        assert [usd(cell) for cell in before[-2:]] == pytest.approx([usd(cell) for cell in now[-2:]], rel=0.05)


def test_every_case_has_its_table() -> None:
    text = DOCUMENT.read_text()
    assert all(len(table_of(case, text).splitlines()) == 8 for case in CASES)


def test_a_table_is_put_in_the_place_of_the_one_before(tmp_path: Path) -> None:
    document = tmp_path / "study.md"
    document.write_text("before\n<!-- sdfleet simulate study --case quiet -->\nold\n<!-- end -->\nafter\n")
    assert (
        CliRunner().invoke(simulate, ["study", "--case", "quiet", "--seeds", "1", "--into", str(document)]).exit_code
        == 0
    )
    text = document.read_text()
    assert text.startswith("before\n<!--")
    assert text.endswith("<!-- end -->\nafter\n")
    assert "old" not in text
    assert "| keda-30s |" in text


def test_a_document_without_a_place_for_the_table_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "study.md").write_text("nothing\n")
    result = CliRunner().invoke(
        simulate, ["study", "--case", "quiet", "--seeds", "1", "--into", str(tmp_path / "study.md")]
    )
    assert result.exit_code == 2
    assert "after which the table would stand" in result.output
