from __future__ import annotations

import pytest

from sdfleet.domain.trace import log_fields, read_header, trace_id, write_traceparent

ROOT = "1-5759e988-bd862e3fe1be46a994272793"
TRACEPARENT = "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01"
HEADER = f"Root={ROOT};Parent=53995c3f42cd8ad8;Sampled=1"


def test_an_amazon_header_is_kept_as_it_is() -> None:
    assert read_header(traceparent=None, amzn_trace_id=f"Self=1-0-0;{HEADER}") == f"Self=1-0-0;{HEADER}"


def test_a_traceparent_becomes_an_amazon_header_and_back() -> None:
    header = read_header(traceparent=TRACEPARENT, amzn_trace_id=None)
    assert header == HEADER
    assert write_traceparent(header) == TRACEPARENT


def test_the_callers_traceparent_goes_before_the_gateways_own_header() -> None:
    assert read_header(traceparent=TRACEPARENT, amzn_trace_id=f"Root={ROOT[:-1]}0") == HEADER


@pytest.mark.parametrize(
    "traceparent",
    [
        "00-00000000000000000000000000000000-53995c3f42cd8ad8-01",
        "00-5759e988bd862e3fe1be46a994272793-0000000000000000-01",
        "ff-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01",
        "00-5759e988-53995c3f42cd8ad8-01",
        "nonsense",
        "",
    ],
)
def test_an_invalid_traceparent_counts_as_none(traceparent: str) -> None:
    assert read_header(traceparent=traceparent, amzn_trace_id=None) is None
    assert read_header(traceparent=traceparent, amzn_trace_id=HEADER) == HEADER


@pytest.mark.parametrize("header", ["Root=1-2-3", "x" * 600 + HEADER, f"{HEADER}\n", "Sampled=1", f"{HEADER};ü=1"])
def test_an_amazon_header_without_a_valid_root_counts_as_none(header: str) -> None:
    assert read_header(traceparent=None, amzn_trace_id=header) is None


def test_log_lines_name_the_trace_as_the_console_does() -> None:
    assert trace_id(HEADER) == ROOT
    assert log_fields(HEADER) == {"trace_id": ROOT}
    assert log_fields(None) == {}


def test_without_a_parent_there_is_no_traceparent() -> None:
    assert write_traceparent(f"Root={ROOT}") is None


def test_what_is_not_sampled_stays_so() -> None:
    assert write_traceparent(HEADER.replace("Sampled=1", "Sampled=0")) == TRACEPARENT[:-1] + "0"
