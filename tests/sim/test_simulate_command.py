"""The command: what it writes, what it says of a mistake, and that its report needs nothing beside it."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner, Result

from sdfleet_cli.commands.simulate import simulate

SMALL = ("--trace", "constant", "--rate", "1", "--hours", "0.05", "--market", "calm")


def called(*arguments: str) -> Result:
    return CliRunner().invoke(simulate, list(arguments))


class Reader(HTMLParser):
    """Tags that are closed, and every reference to something else."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.references += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "link", "line", "rect", "path", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert tag in ("line", "rect", "path") or self.open.pop() == tag


def test_a_report_stands_alone_and_its_plots_are_whole(tmp_path: Path) -> None:
    result = called(*SMALL, "--policy", "fast", "--policy", "step", "--out", str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    files = sorted(file.name for file in (tmp_path / "out").iterdir())
    assert files == ["capacity.svg", "cost.svg", "latency.svg", "queue.svg", "report.html", "result.json"]
    text = (tmp_path / "out" / "report.html").read_text()
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    assert reader.references == ["data:,"]
    assert "<script" not in text
    assert str(tmp_path) not in text
    for name in ("queue", "capacity", "latency", "cost"):
        drawing = (tmp_path / "out" / f"{name}.svg").read_text()
        paths = [element.get("d") or "" for element in ET.fromstring(drawing).iter("{http://www.w3.org/2000/svg}path")]
        assert paths
        assert not re.search(r"nan|inf", " ".join(paths))
    assert "off by a third" in text


def test_the_same_command_writes_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert called(*SMALL, "--no-sensitivity", "--out", str(tmp_path / name)).exit_code == 0
    assert (tmp_path / "a" / "result.json").read_bytes() == (tmp_path / "b" / "result.json").read_bytes()


def test_json_has_what_the_study_is_made_of() -> None:
    (one,) = json.loads(called(*SMALL, "--json").output)
    assert one["policy"] == "fast"
    assert {"p50", "p95", "most"} <= one["queue_s"].keys()
    assert one["bill"]["total_usd"] == pytest.approx(sum(item["total_usd"] for item in one["bill"]["items"]), abs=1e-4)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--trace", "storm"), "There is no trace storm; there are quiet, day, burst, batch"),
        (("--trace", "nowhere.csv"), "nowhere.csv: the arrivals cannot be read"),
        (("--market", "moon"), "The assumptions know no moon; they have us-west-2"),
        (("--runtime", "chess"), "The assumptions know no chess"),
        (("--instance-type", "t3.micro"), "The assumptions know no t3.micro; they have g5.2xlarge"),
        (("--trace", "quiet", "--min", "9"), "min must be 0 or more and at most max"),
        (("--spot-traces", "nowhere"), "there is no availability-*.json in it"),
        (("--assumptions", "nowhere.yaml"), "nowhere.yaml: the assumptions cannot be read"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_there_is(arguments: tuple[str, ...], complaint: str) -> None:
    result = called(*arguments)
    assert result.exit_code == 2
    assert complaint in result.output
    assert len(result.output.splitlines()) == 1


def test_a_figure_without_a_source_is_refused(tmp_path: Path) -> None:
    shipped = Path(__file__).parents[2] / "src" / "sdfleet_sim" / "assumptions.yaml"
    text = shipped.read_text()
    without = re.sub(r'(wake_s: \{value: 0\.5), \w+: "[^"]*"', r"\1", text)
    assert without != text
    (tmp_path / "own.yaml").write_text(without)
    result = called("--assumptions", str(tmp_path / "own.yaml"))
    assert result.exit_code == 2
    assert "fast_scaler.wake_s has no source" in result.output
