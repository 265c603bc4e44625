"""Who comes in: the token, the name that a server is called by, and the page that a browser calls it from."""

from __future__ import annotations

import ipaddress
import os
import re
import secrets as randomness  # The standard library's.
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from agentgym.errors import UsageError
from agentgym.secrets import Secret, find

MAX_HEAD = 32 << 10
"""Most bytes of a request before its body."""
MAX_BODY = 8 << 20
"""Most bytes of a request's body, unless a server says otherwise."""
HEAD_SECONDS = 10.0
"""Seconds from a request's first byte to the end of its head."""
BODY_SECONDS = 30.0
"""Seconds for its body, and for its answer to be taken."""
IDLE_SECONDS = 60.0
"""Seconds that a connection may wait for its next request."""
MAX_CONNECTIONS = 64
"""Connections at once; a further one is closed."""
SHORTEST_TOKEN = 16
"""Least characters of a token that a person chose."""
_PLAIN = re.compile(rf"[A-Za-z0-9._-]{{{SHORTEST_TOKEN},}}")
"""A token that can stand in an address as it is."""


class Refusal(NamedTuple):
    """A request that does not come in."""

    status: int
    text: str


class Door:
    """Decides by a request's head alone.

    Args:
        token: that `Authorization: Bearer` must carry; `None` lets everybody in who reaches this machine's loopback.
        host: the address that the server listens at.

    Raises:
        UsageError: no token, and others than this machine reach the address.
    """

    misnamed = Refusal(403, "this server is not called by that name")
    unknown = Refusal(401, "a token is needed: Authorization: Bearer TOKEN")

    def __init__(self, token: Secret | None, host: str) -> None:
        self.token, self.host = token, host
        self.loopback = is_loopback(host)
        if token is None and not self.loopback:
            raise UsageError(
                f"a server without a token listens on this machine only, not at {host}: use a token, or 127.0.0.1"
            )

    def refusal(self, headers: Iterable[tuple[str, str]], free: bool = False) -> Refusal | None:
        """Why a request does not come in; `None` if it does.

        Args:
            headers: of the request.
            free: it asks for what needs no token: the other rules hold.
        """
        found: dict[str, list[str]] = {}
        for name, value in headers:
            found.setdefault(name.lower(), []).append(value.strip())
        twice = [
            n for n in ("host", "authorization", "content-length", "transfer-encoding", "origin") if _many(found, n)
        ]
        if twice:
            return Refusal(400, f"there is more than one header {twice[0]}")
        host = found.get("host", [""])[0]
        if not self._named(host):
            return self.misnamed
        origin = found.get("origin", [""])[0]
        if origin and not self._ours(urlsplit_host(origin), host):
            return Refusal(403, "pages of other origins do not come in")
        if self.token is not None and not free:
            scheme, _, told = found.get("authorization", [""])[0].partition(" ")
            if scheme.lower() != "bearer" or not self.token.same(told.strip()):
                return self.unknown
        return None

    def _named(self, host: str) -> bool:
        """Whether a `Host` is ours. Behind a token and beyond loopback, names are the network's business."""
        name = _hostname(host)
        return name is not None and (not self.loopback or self._own(name))

    def _ours(self, origin: str, host: str) -> bool:
        """Whether a page at this host and port may ask, where the request says that it goes to `host`."""
        return self._named(origin)

    def _own(self, name: str) -> bool:
        return name == "localhost" or name == self.host.strip("[]").lower() or is_loopback(name)


class PageDoor(Door):
    """The door of a server that people's browsers ask: beyond loopback, too, it has no name but its own.

    Whoever owns a name can point it at any address, and so bring a page of theirs to ours. A literal address cannot be
    pointed elsewhere: a server that listens at every address answers to all of them. Pages that ask are its own.
    """

    misnamed = Refusal(421, "this server answers to its own address only")
    unknown = Refusal(401, "the token is missing or wrong: open the address that agentgym view printed")

    def _named(self, host: str) -> bool:
        name = _hostname(host)
        if name is None:
            return False
        everywhere = _literal(self.host)
        return self._own(name) or bool(everywhere and everywhere.is_unspecified and _literal(name))

    def _ours(self, origin: str, host: str) -> bool:
        return origin.lower() == host.lower()


def open_door(host: str, token_file: Path | None = None, no_token: bool = False) -> tuple[Door, str]:
    """The door of a server that a command starts.

    Args:
        host: address to listen at.
        token_file: has the token; made, for this user's eyes only, with a fresh one, where there is no such file.
        no_token: ask for none.

    Returns:
        The door, and a sentence for the person who starts the server: it has the token where no file has it.

    Raises:
        UsageError: both are given, the file cannot be used, or there is no token and `host` is not loopback.
    """
    if no_token:
        if token_file is not None:
            raise UsageError("give a token file or no token, not both")
        return Door(None, host), "no token: every process of this machine comes in"
    if token_file is None:
        token = fresh_token()
        return Door(token, host), f"token: {token.reveal()}"
    return Door(kept_token(token_file), host), f"token: in {token_file}"


def fresh_token() -> Secret:
    """One that nobody guesses; it can stand in an address as it is."""
    return Secret(randomness.token_urlsafe(24))


def kept_token(path: Path, in_address: bool = False) -> Secret:
    """The token in a file; made, for this user's eyes only, with a fresh one, where there is no such file.

    Args:
        path: of the file.
        in_address: it will stand in an address, so that it may have only characters that nothing there reads otherwise.

    Raises:
        UsageError: the file cannot be made or read, or what it has is no token.
    """
    try:
        if not os.path.lexists(path):
            _make(path)
    except FileExistsError:
        pass  # Another server made it meanwhile.
    except OSError as error:
        raise UsageError(f"token file {path} cannot be written: {error.strerror or error}") from None
    token = find(file=path, what="token")
    told = token.reveal() if token else ""
    if in_address and not _PLAIN.fullmatch(told):
        raise UsageError(f"token file {path}: a token has {SHORTEST_TOKEN} or more letters, digits, '-', '_' or '.'")
    if token is None or len(told) < SHORTEST_TOKEN:
        raise UsageError(f"token file {path}: a token has at least {SHORTEST_TOKEN} characters")
    return token


def _make(path: Path) -> None:
    """Whole or not at all, and never over another one."""
    temporary = path.with_name(f".{path.name}-{randomness.token_hex(8)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(fresh_token().reveal() + "\n")
        os.link(temporary, path)
    finally:
        temporary.unlink()


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own.

    >>> [is_loopback(h) for h in ("127.0.0.1", "localhost", "[::1]", "0.0.0.0", "10.0.0.7", "")]
    [True, True, True, False, False, False]
    """
    address = _literal(host)
    return host.lower() == "localhost" or (address is not None and address.is_loopback)


def urlsplit_host(origin: str) -> str:
    """The host and port of an origin; empty where it is none.

    >>> urlsplit_host("http://localhost:8000"), urlsplit_host("null")
    ('localhost:8000', '')
    """
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def _many(found: dict[str, list[str]], name: str) -> bool:
    return len(found.get(name, ())) > 1


def _hostname(host: str) -> str | None:
    """The name in a `Host`, without its port; `None` where it is not one."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    plain = host and host.isascii() and host.isprintable() and not set(host) & set("/\\@?# ,")
    return parts.hostname if plain else None
