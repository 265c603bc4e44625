"""One fork server for all tests of broken runs, and the figures that they leave for the summary."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from faults_run import FULL, ForkServer, Tally


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    """Runs to be killed, with an uninterrupted one to compare them with."""
    with ForkServer(tmp_path_factory.mktemp("faults")) as made:
        yield made.warm()


@pytest.fixture
def figures(record_property: Callable[[str, object], None]) -> Callable[[Tally], None]:
    """Keeps a tally for the summary, and fails where something was not survived."""

    def keep(tally: Tally) -> None:
        record_property("faults", f"{tally}{'' if FULL else ' (a sample: AGENTGYM_FAULTS=full has all)'}")
        assert tally.tried
        assert not tally.failed, "\n".join(tally.failed[:10])

    return keep
