"""`agentgym view` and `agentgym report`: runs to look at, in a browser, in a terminal, or as one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from agentgym.cli.show import say

Flag = Annotated[bool, Parameter(negative="")]


def view(
    *runs: Path,
    host: str = "127.0.0.1",
    port: int = 0,
    token_file: Path | None = None,
    open: Flag = False,
    terminal: Flag = False,
) -> int:
    """Look at runs in a browser, live while they train. Ctrl-C ends it.

    Only who has the printed address can see anything: the token is in it. Give several runs to compare them; those
    that differ in their seed alone are drawn as one curve with an interval.

    Args:
        runs: their folders; one that still trains is followed.
        host: address to listen at. Beyond this machine, the connection is not encrypted: prefer an SSH tunnel.
        port: to listen at, 0 for any free one.
        token_file: file with the token; made where there is none. A new token each time if not given.
        open: open the address in a browser.
        terminal: look in this terminal instead, one run.
    """
    from agentgym.errors import UsageError
    from agentgym.view.data import open_runs

    if not 0 <= port < 65536:
        raise UsageError(f"--port must be from 0 to 65535, not {port}")
    opened = open_runs(list(runs))
    if terminal:
        if len(opened) > 1:
            raise UsageError("--terminal shows one run: give one, or leave --terminal out to compare several")
        from agentgym.view.terminal import Terminal

        Terminal(opened[0]).run()
        return 0
    from agentgym.serving.door import kept_token
    from agentgym.view.server import Viewer

    viewer = Viewer(opened, host, port, kept_token(token_file, in_address=True).reveal() if token_file else None)
    print(viewer.url, flush=True)
    say("Ctrl-C ends it")
    if open:
        import webbrowser

        webbrowser.open(viewer.url)
    try:
        viewer.serve()
    except KeyboardInterrupt:
        say("stopped")
    return 0


def report(
    *runs: Path, output: Annotated[Path | None, Parameter(name=["--output", "--out", "-o"])] = None, limit: int = 400
) -> int:
    """Write the page of runs as one self-contained file: curves, trajectories to step through, their credit.

    Args:
        runs: their folders; they may still be running.
        output: where to write; report.html in the run's folder if not given, beside the folders of several.
        limit: most trajectories on the page.
    """
    from agentgym.errors import UsageError
    from agentgym.report import write_report
    from agentgym.view.data import open_runs

    if not runs:
        raise UsageError("report needs the folder of a run")
    opened = open_runs(list(runs))
    path = write_report([run.folder for run in opened], output, limit)
    for run in opened:
        run.refresh(1e9)
        for warning in run.about()["warnings"]:
            say(f"warning: {warning}")
    print(path)
    return 0
