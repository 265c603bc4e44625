"""Boxes in docker containers: hardened, and spoken to over the stream that is attached to their PID 1.

PID 1 is the command server, handed over on the command line: nothing has to be written into a root that cannot be, and
any image with a Python will do (one without gets `exec_box`). What can be written are three sized tmpfs volumes that
exist only as long as the container. Container names carry the box's user id, so the engine itself sees to it that no
two boxes alive share one, whichever process started them.
"""

from __future__ import annotations

import atexit
import itertools
import os
import threading
import weakref
from typing import Any

from agentgym.errors import BoxFileError, EngineError, ImageError, SandboxError
from agentgym.sandbox import images
from agentgym.sandbox.base import Box, BoxSpec
from agentgym.sandbox.cgroups import count_kills
from agentgym.sandbox.docker_container import AttachedStream, counters, remove, why_ended
from agentgym.sandbox.docker_engine import Engine
from agentgym.sandbox.docker_options import LABEL, UIDS, container_config, runner_gone, runner_labels
from agentgym.sandbox.exec_box import ExecBox
from agentgym.sandbox.wire import WireBox

START = 30.0
"""Seconds that a box has to come up."""


class DockerBox(WireBox):
    """A container with the command server. Made by `Docker.start`."""

    def __init__(self, engine: Engine, container: str, name: str, spec: BoxSpec, stream: AttachedStream) -> None:
        super().__init__(name, spec, stream)
        self.container = container
        """The engine's id of it."""
        self._engine = engine
        self._stream = stream
        self._counter = next((path for path in counters(container) if path.exists()), None)
        self._inside: str | None = None

    def begin(self, deadline: float, seed: bytes | None = None) -> None:
        """Wait for the server; see `WireBox.begin`."""
        super().begin(deadline, seed)
        if self._counter is None:
            for path in ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"):
                if count_kills(self._glimpse(path)) is not None:
                    self._inside = path
            self._kills = self.oom_kills() or 0

    def oom_kills(self) -> int | None:
        """How many processes the memory limit has killed: the engine's flag only tells of PID 1."""
        try:
            if self._counter is not None:
                return count_kills(self._counter.read_bytes())
        except OSError:
            return None
        return None if self._inside is None else count_kills(self._glimpse(self._inside))

    def _glimpse(self, path: str) -> bytes:
        try:
            return self.read(path, limit=4096)
        except BoxFileError:
            return b""

    def lost(self) -> str | None:
        """Why the container ended, as the engine or the container itself tells."""
        return why_ended(self._engine, self.container, self._stream.complaint)

    def close(self) -> None:
        """End it and remove all that it had."""
        super().close()
        if self._pid == os.getpid():
            remove(self._engine, self.container)


class Docker:
    """Boxes of one docker engine.

    Args:
        engine: which; the one that `DOCKER_HOST` names if not given.

    Raises:
        MissingExtraError: docker's SDK is not installed.
    """

    name = "docker"

    def __init__(self, engine: Engine | None = None) -> None:
        self.engine = engine or Engine()
        # Processes begin at different places, so that they rarely meet; where they do, the engine refuses the name.
        self._uids = itertools.count(os.getpid() * 977)
        self._labels = runner_labels()
        self._lock = threading.Lock()
        self._open: weakref.WeakSet[Box] = weakref.WeakSet()
        self._pid = os.getpid()
        atexit.register(self._close_all)

    def ready(self) -> str | None:
        """Why no box can be had of this engine; `None` where one can."""
        return self.engine.ready()

    def start(self, spec: BoxSpec) -> Box:
        """A new box, ready for commands; see `Backend.start`."""
        self._own()
        try:
            return self._start(spec)
        except ImageError:
            # It was here when it was first looked for, and may have been removed since.
            images.forget(self.engine, spec.image)
            return self._start(spec)

    def _start(self, spec: BoxSpec) -> Box:
        image = images.ensure(self.engine, spec.image)
        kind = DockerBox if image.python is not None else ExecBox
        seed = images.contents(self.engine, image, spec.work) if spec.seed_work else None
        container, name = self._create(spec, image)
        stream: AttachedStream | None = None
        try:
            with self.engine.asking("start a box") as client:
                ends = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
                stream = AttachedStream(client.attach_socket(container, params=ends))
                client.start(container)
            box = kind(self.engine, container, name, spec, stream)
            box.begin(START, seed)
        except BaseException as error:
            if stream is not None:
                stream.close()
            remove(self.engine, container)
            if isinstance(error, BoxFileError):
                room = f"BoxSpec.work_size is {spec.work_size} bytes, work_files {spec.work_files}"
                raise SandboxError(
                    f"what image {image.name} has in {spec.work} does not fit: {error}; {room}"
                ) from error
            raise
        with self._lock:
            self._open.add(box)
        return box

    def _create(self, spec: BoxSpec, image: images.Image) -> tuple[str, str]:
        import docker.errors

        for _ in range(1000):
            with self._lock:
                uid = UIDS.start + next(self._uids) % len(UIDS)
            name = f"agentgym-{uid}"
            config = container_config(spec, image, uid, self._labels)
            with self.engine.asking("create a box") as client:
                try:
                    return client.create_container_from_config(config, name)["Id"], name
                except docker.errors.APIError as error:
                    if error.status_code != 409:
                        raise
        raise EngineError(
            f"the docker engine at {self.engine.host} has a thousand boxes with names in a row; reap them"
        )

    def reap(self) -> int:
        """Remove containers and volumes of ours whose runner is gone; how many containers."""
        with self.engine.asking("list the boxes left behind") as client:
            left = client.containers(all=True, filters={"label": LABEL})
            volumes: list[dict[str, Any]] = client.volumes(filters={"label": LABEL, "dangling": True})["Volumes"] or []
        gone = [one["Id"] for one in left if runner_gone(one["Labels"])]
        for container in gone:
            remove(self.engine, container)
        for volume in volumes:
            if runner_gone(volume["Labels"] or {}):
                try:
                    with self.engine.asking("remove a volume left behind") as client:
                        client.remove_volume(volume["Name"])
                except SandboxError:
                    continue  # its container is being removed by another runner, and it with it
        return len(gone)

    def _own(self) -> None:
        """After a fork the boxes that were open are the parent's."""
        if self._pid != os.getpid():
            self._pid, self._labels, self._open = os.getpid(), runner_labels(), weakref.WeakSet()
            self._uids, self._lock = itertools.count(os.getpid() * 977), threading.Lock()

    def _close_all(self) -> None:
        if self._pid == os.getpid():
            for box in list(self._open):
                box.close()
            self.engine.close()
