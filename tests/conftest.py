"""What all tests need: that Ctrl-C works in what they start, that a busy machine fails nothing, and who runs what.

The folder of this file is on the path: no folder in it may have the name of a package that is imported or looked for.
"""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts background jobs with interrupts ignored, which every child would inherit. Tests send them.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples each time where a change is judged; new ones everywhere else.
settings.register_profile("agentgym", deadline=None, derandomize="AGENTGYM_SAME_EXAMPLES" in os.environ)
settings.load_profile("agentgym")

TOGETHER = ("tests/vllm_engine", "tests/cluster", "tests/browser")
"""Folders whose tests share something heavy (a model server, a cluster, a browser): one process runs each of them."""


class Scheduler(LoadFileScheduling):
    """One test process runs a whole file, or a whole folder of those above."""

    def _split_scope(self, nodeid: str) -> str:
        path = str(nodeid).partition("::")[0]
        return next((folder for folder in TOGETHER if path.startswith(folder + "/")), path)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: Any, log: Any) -> Scheduler | None:
    """Files and folders in the order they were collected in; what else was asked for is xdist's."""
    if config.getoption("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False
    return Scheduler(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest and mostly waits: the other processes do the rest beside it."""
    items.sort(key=lambda item: not item.nodeid.startswith(TOGETHER[0]))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What the tests of faults counted: how many of each were survived."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    found = [value for report in reports for name, value in report.user_properties if name == "faults"]
    if found:
        terminalreporter.section("faults survived")
        for line in found:
            terminalreporter.write_line(str(line))
