"""`agentgym serve`: parts of the suite as servers, so that many runs, or other trainers, share one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

Flag = Annotated[bool, Parameter(negative="")]

app = App(
    name="serve",
    sort_key=9,
    help="Run a server.",
    help_epilogue="Example:\n\n    agentgym serve retriever --corpus wiki.jsonl",
    result_action="return_value",
)


@app.command(help_epilogue="Example:\n\n    agentgym serve retriever --corpus wiki.jsonl --port 8000")
def retriever(
    *,
    corpus: Path,
    index: Literal["bm25", "dense", "hybrid"] = "bm25",
    encoder: Path | None = None,
    topk: int = 3,
    host: str = "127.0.0.1",
    port: int = 8000,
    token_file: Path | None = None,
    no_token: Flag = False,
) -> int:
    """Serve a corpus at /retrieve, in the form that search agents' trainers ask in. Ctrl-C ends it.

    Requests carry a token (Authorization: Bearer ...), which is printed where no file has it.

    Args:
        corpus: passages: .jsonl, .json or .parquet, packed or not.
        index: how passages are found.
        encoder: folder of a sentence encoder, for dense and hybrid.
        topk: how many passages where a request does not say.
        host: address to listen at.
        port: 0 for any free one.
        token_file: has the token; made with a fresh one where there is no such file.
        no_token: let in every process of this machine, for clients that send no token.
    """
    from agentgym.cli.show import say
    from agentgym.errors import UsageError
    from agentgym.retrieval import open_corpus
    from agentgym.retrieval.opening import open_retriever
    from agentgym.retrieval.server import RetrieverServer
    from agentgym.retrieval.wire import MAX_TOPK
    from agentgym.serving import open_door

    if not 1 <= topk <= MAX_TOPK:
        raise UsageError(f"--topk must be from 1 to {MAX_TOPK}, not {topk}")
    if not 0 <= port < 65536:
        raise UsageError(f"--port must be from 0 to 65535, not {port}")
    passages = open_corpus(corpus)
    say(f"{len(passages):,} passages; opening the {index} index")
    found = open_retriever(index, passages, str(encoder or ""))
    door, said = open_door(host, token_file, no_token)
    try:
        server = RetrieverServer(found, host, port, topk, token=door.token)
    except OSError as error:
        raise UsageError(f"cannot listen at {host}:{port}: {error.strerror or error}") from error
    with server:
        print(said, file=sys.stderr, flush=True)  # Not by `say`, which shows no secrets.
        print(f"http://{host}:{server.server_port}/retrieve", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("stopped")
    return 0


@app.command(help_epilogue="Example:\n\n    agentgym serve mcp tools-stateful-v0 --transport http --port 8000")
def mcp(
    env: str,
    *,
    split: str = "train",
    option: Annotated[list[str] | None, Parameter(name=["--option", "-o"], negative="")] = None,
    transport: Literal["stdio", "http"] = "stdio",
    host: str = "127.0.0.1",
    port: int = 8000,
    token_file: Path | None = None,
    no_token: Flag = False,
) -> int:
    """Serve an environment's tools by the Model Context Protocol, one episode at a time. Ctrl-C ends it.

    Args:
        env: an environment with tools: an id, or FILE.py:NAME.
        split: of its tasks.
        option: name=value for the environment; may be given several times.
        transport: stdio, for a client that starts this command, or http at /mcp.
        host: address to listen at.
        port: to listen at.
        token_file: has the token for http; made with a fresh one where there is no such file.
        no_token: let in every process of this machine, for clients that send no token.
    """
    from agentgym.cli.show import settings
    from agentgym.integrations.mcp_server import serve
    from agentgym.serving import open_door

    options = settings(option or (), "--option")
    door = None
    if transport == "http":
        door, said = open_door(host, token_file, no_token)
        print(said, file=sys.stderr, flush=True)
    serve(env, split=split, options=options, transport=transport, host=host, port=port, door=door)
    return 0
