"""A container that is there: the stream to its PID 1, what its kernel counts, why it ended, and its removal."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agentgym.errors import SandboxError
from agentgym.sandbox.docker_engine import Engine

_COMPLAINT = 4096


class Frames:
    """The engine's framing of two outputs on one stream, taken apart."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._left = 0
        self._source = 1

    def parts(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Where from (1 standard output, 2 standard error), and what."""
        at = 0
        while at < len(data):
            if not self._left:
                missing = 8 - len(self._head)
                self._head += data[at : at + missing]
                at += missing
                if len(self._head) == 8:
                    self._source, self._left = struct.unpack(">BxxxL", self._head)
                    self._head.clear()
                continue
            part = data[at : at + self._left]
            at += len(part)
            self._left -= len(part)
            yield self._source, part


class AttachedStream:
    """The stream to a container's PID 1: bytes in as they are, bytes out in frames that name their source."""

    def __init__(self, attached: Any) -> None:
        self._attached = attached
        self._socket: socket.socket = getattr(attached, "_sock", attached)
        self._frames = Frames()
        self.complaint = b""
        """The beginning of what came on standard error: why Python did not start, say."""

    def send(self, data: bytes, until: float) -> None:
        """Send all of it. Raises: OSError (`TimeoutError` when it is late)."""
        self._socket.settimeout(max(until - time.monotonic(), 0.001))
        self._socket.sendall(data)

    def receive(self, until: float) -> bytes:
        """Some bytes of standard output; none at the end. Raises: OSError (`TimeoutError` when it is late)."""
        while True:
            self._socket.settimeout(max(until - time.monotonic(), 0.001))
            data = self._socket.recv(1 << 18)
            if not data:
                return b""
            found: list[bytes] = []
            for source, part in self._frames.parts(data):
                if source == 1:
                    found.append(part)
                elif len(self.complaint) < _COMPLAINT:
                    self.complaint += part[:_COMPLAINT]
            if found:
                return b"".join(found)

    def close(self) -> None:
        """Hang up; may be called twice."""
        hang_up(self._attached)
        self._socket.close()


def hang_up(attached: Any) -> None:
    """Close what the SDK gives for a stream, response and all; may be done twice."""
    response: Any = getattr(attached, "_response", None)
    if response is not None:
        response.close()
    attached.close()


def come_already(attached: Any) -> bytes:
    """What came with the answer's header: the HTTP library has read it into a buffer that the socket knows nothing of.

    The socket must not block.
    """
    reader: Any = attached._response.raw._fp.fp
    data: bytes = reader.peek(1) or b""
    return reader.read1(len(data)) if data else b""


def remove(engine: Engine, container: str) -> None:
    """Remove a container and its volumes; nothing is raised where it, or the engine, is gone."""
    try:
        with engine.asking("remove a box") as client:
            client.remove_container(container, v=True, force=True)
    except SandboxError:
        return


def why_ended(engine: Engine, container: str, complaint: bytes) -> str | None:
    """What is known of why a container does not answer."""
    try:
        with engine.asking("look at a box", timeout=10.0) as client:
            state: dict[str, Any] = client.inspect_container(container)["State"]
    except SandboxError as error:
        return str(error)
    said = complaint.decode("utf-8", "backslashreplace").strip().rpartition("\n")[2][:300]
    if state["Running"]:
        return "its container runs, but its server does not answer"
    how = "killed for memory" if state.get("OOMKilled") else f"exit code {state.get('ExitCode')}"
    return f"its container has ended: {how}{', ' + said if said else ''}"


def counters(container: str) -> list[Path]:
    """Where this machine may keep a container's count of processes killed for memory, by cgroup version and driver."""
    top = Path("/sys/fs/cgroup")
    scope = f"system.slice/docker-{container}.scope"
    return [
        *(top / place / "memory.events" for place in (f"docker/{container}", scope)),
        *(top / "memory" / place / "memory.oom_control" for place in (f"docker/{container}", scope)),
    ]
