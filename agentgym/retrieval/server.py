"""A retriever as a server in the common `/retrieve` form: `agentgym serve retriever`. Standard library only."""

from __future__ import annotations

import json
import logging
from typing import Any

from agentgym.errors import InfraError
from agentgym.retrieval.base import Retriever
from agentgym.retrieval.wire import read_request, write_answer
from agentgym.secrets import Secret
from agentgym.serving import Door, threads
from agentgym.serving.door import MAX_BODY

LOG = logging.getLogger(__name__)
__all__ = ["MAX_BODY", "RetrieverServer"]


class RetrieverServer(threads.Server):
    """`POST /retrieve` and `GET /health`; a thread a connection.

    A request that is none gets 400 with the reason, one without the token 401, one that is too large 413, and a
    retriever that cannot answer 503.
    """

    def __init__(
        self,
        retriever: Retriever,
        host: str = "127.0.0.1",
        port: int = 0,
        topk: int = 3,
        *,
        token: Secret | None = None,
        **bounds: Any,
    ) -> None:
        """Listen.

        Args:
            retriever: what answers; searches of several threads at once must be safe.
            host: address to listen at.
            port: 0 for any free one; `server_port` says which.
            topk: how many passages where a request does not say.
            token: that requests must carry; without one, only this machine's own addresses can be listened at.
            bounds: as in `agentgym.serving.threads.Server`.

        Raises:
            OSError: the address cannot be had.
            UsageError: there is no token, and others than this machine reach the address.
        """
        self.retriever, self.topk = retriever, topk
        super().__init__(_Handler, Door(token, host), port, **bounds)


class _Handler(threads.Handler):
    server: RetrieverServer  # pyright: ignore[reportIncompatibleVariableOverride] - the only one it serves

    def do_GET(self) -> None:
        if self.path == "/health":
            self.answer(200, {"status": "ok"})
        else:
            self.answer(404, {"error": "POST /retrieve or GET /health"})

    def do_POST(self) -> None:
        body = self.body()
        if body is None:
            return
        if self.path != "/retrieve":
            return self.answer(404, {"error": "POST /retrieve or GET /health"})
        try:
            asked = read_request(json.loads(body), self.server.topk)
        except (ValueError, RecursionError) as error:
            return self.answer(400, {"error": str(error)})
        try:
            found = self.server.retriever.search(asked.queries, asked.topk)
        except InfraError as error:
            return self.answer(503, {"error": str(error)})
        except Exception:
            LOG.exception("a search failed")
            return self.answer(500, {"error": "the search failed; the server's log says how"})
        self.answer(200, write_answer(found, asked.return_scores))
