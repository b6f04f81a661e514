"""What pytest does around the benchmarks: open the run, say how each case went, write the report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.session import RecordNotWrittenError, Session, open_session
from bench.stash import CHOICE
from common.errors import UserError

SESSION = pytest.StashKey[Session]()


@pytest.fixture(scope="session")
def bench_session(request: pytest.FixtureRequest) -> Session:
    """The run that all cases record into."""
    config = request.config
    choice = config.stash[CHOICE]
    try:
        session = open_session(
            Path(config.getoption("--results")), Path(config.getoption("--cache")), choice.preset, config.getoption("--preset")
        )
    except UserError as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)
    config.stash[SESSION] = session
    return session


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """A record that could not be written ends the run: going on would measure what nobody can read."""
    try:
        return (yield)
    except RecordNotWrittenError as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.INTERNAL_ERROR)


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Show the figures instead of PASSED."""
    # A file that cannot be collected is reported here too, and has no properties.
    text = dict(getattr(report, "user_properties", ())).get("trtbench")
    if report.when != "call" or text is None:
        return None
    outcome = "xfailed" if hasattr(report, "wasxfail") else report.outcome
    letter = {"passed": ".", "failed": "F", "skipped": "s", "xfailed": "x"}[outcome]
    return outcome, letter, str(text)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Write the report and print what was made, what came from the cache, and where everything is."""
    session = config.stash.get(SESSION, None)
    if session is None:
        return
    write = terminalreporter.write_line
    terminalreporter.section("trtbench")
    counts = ", ".join(f"{count} {name}" for name, count in sorted(session.counts.items()))
    write(f"cases     {counts or 'none recorded'}")
    write(f"artefacts {session.cache.summary()}")
    for warning in session.cache.warnings:
        write(f"warning   {warning}", yellow=True)
    try:
        report = session.close()
    except UserError as error:
        write(f"error     {error}; the records are safe: trtbench report {session.folder}", red=True)
        return
    if report is not None:
        write(f"records   {session.folder / 'records.jsonl'}")
        write(f"report    {report}")
