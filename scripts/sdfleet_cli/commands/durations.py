"""Durations on the command line: 20s, 15m, 1h."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import click

_DURATION = re.compile(r"(\d+)\s*(s|m|h)?")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


class Duration(click.ParamType[timedelta]):
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        match = _DURATION.fullmatch(str(value).strip())
        if match is None:
            self.fail(f"{value!r} is no duration; write 20s, 15m or 1h", param, ctx)
        return timedelta(seconds=int(match[1]) * _SECONDS[match[2] or "s"])
