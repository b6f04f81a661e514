"""What is slow to make is made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.html import write_report
from tests.reports.builders import journal, many


@pytest.fixture(scope="session")
def thousand(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a thousand timed cases."""
    path = tmp_path_factory.mktemp("thousand") / "report.html"
    write_report(journal(*many(1000)), path)
    return path
