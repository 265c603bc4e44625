"""What all tests need: that Ctrl-C works in what they start, and that a busy machine fails nothing.

The folder of this file is on the path: no folder in it may have the name of a package that is imported or looked for.
"""

from __future__ import annotations

import os
import signal
from typing import Any

from hypothesis import settings

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts background jobs with interrupts ignored, which every child would inherit. Tests send them.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples each time where a change is judged; new ones everywhere else.
settings.register_profile("agentgym", deadline=None, derandomize="AGENTGYM_SAME_EXAMPLES" in os.environ)
settings.load_profile("agentgym")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What the tests of faults counted: how many of each were survived."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    found = [value for report in reports for name, value in report.user_properties if name == "faults"]
    if found:
        terminalreporter.section("faults survived")
        for line in found:
            terminalreporter.write_line(str(line))
