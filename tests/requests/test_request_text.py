"""Requests as text for a terminal."""

from datetime import date

import pytest

from lotus_unlearning.requests import text
from lotus_unlearning.requests.entries import Found, Request


@pytest.mark.parametrize(
    "written", ["0812", "1e3", "00123456789012345678901", "1_000", "nan", "+5"]
)
def test_references_and_names_are_shown_as_they_were_written(written):
    image = Found(written, "id", written, "00812", "to forget")
    request = Request(
        1, written, "2026-01-01", "2026-01-29", "none found", [image], "pending", "", None
    )
    last = text.table([request], date(2026, 1, 2)).splitlines()[-1].split()
    assert last[-1] == written
    assert last[0] == "1"
    row = text.details(request, [], None).split("hash of pixels")[1].splitlines()[2].split()
    assert row[:4] == [written, "id", written, "00812"]
