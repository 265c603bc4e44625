"""Keys and passwords: where they come from, and how they are kept out of everything that is written or shown.

Three things hold together. A key is *named*, never written down: a recipe says which environment variable or file has
it, and `find` reads it into a `Secret`, which prints as `[secret]`. What leaves this process goes through `redact`
(errors, logs, command lines) or `hide` (trajectories), which take out the values that are known: those of every
`Secret`, and of every variable whose name says that it holds one. And a process that plays environments is started
without those variables (`scrubbed`): what it does not have, it cannot show.

A value of fewer than `SHORTEST` characters is not looked for: it would be found in ordinary text.
"""

from __future__ import annotations

import hmac
import json
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn, cast
from urllib.parse import quote, urlsplit

from agentgym.errors import UsageError

SHOWN = "[secret]"
"""What stands where a secret stood."""
SHORTEST = 8
"""Least characters of a value that is looked for in texts."""
PASS = "AGENTGYM_PASS_ENV"
"""Variable that lists, with commas, further variables that environments' processes may have."""
LARGEST = 64 << 10
"""Most bytes of a file that holds a key."""

_NAME = re.compile(
    r"(?i)(?:^|[_-])(?:api_?keys?|access_?keys?|keys?|token|secrets?|password|passwd|passphrase|pass|pwd|pat"
    r"|credentials?|auth|cookie)(?:$|[_-])"
)
_KEY = re.compile(
    r"(?i)(?:^|.*[_.-])(?:api[_-]?key|access[_-]?key|secret|secret[_-]?key|private[_-]?key|token|password|passwd"
    r"|passphrase|authorization|credentials?|bearer|cookie)$"
)
"""Keys of a recipe that must not have a value of their own; `api_key_env` and `max_tokens` are others."""
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MADE = re.compile(
    r"\b(?:sk|pk|rk)-[A-Za-z0-9_-]{16,256}|\bhf_[A-Za-z0-9]{16,256}|\bgh[pousr]_[A-Za-z0-9]{20,256}"
    r"|\bgithub_pat_[A-Za-z0-9_]{20,256}|\bglpat-[A-Za-z0-9_-]{16,256}|\bxox[abeprs]-[A-Za-z0-9-]{10,256}"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bAIza[0-9A-Za-z_-]{30,64}|\b(?:npm|dop_v1|lin_api)_[A-Za-z0-9]{20,256}"
    r"|\bpypi-[A-Za-z0-9_-]{16,512}|\beyJ[A-Za-z0-9_-]{8,2048}\.eyJ[A-Za-z0-9_-]{8,4096}\.[A-Za-z0-9_-]{0,1024}"
    r"|-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[^-]{0,16384}(?:-----END [A-Z ]{0,40}PRIVATE KEY-----)?"
)
"""What issuers of keys make look like a key."""
_USERINFO = re.compile(r"(?i)\b([a-z][a-z0-9+.-]{1,20}://)[^\s/@:?#'\"]{0,256}:[^\s/@'\"]{1,1024}@")
_HEADER = re.compile(
    r"(?i)\b((?:proxy-)?authorization|x-api-key|api-key|(?:set-)?cookie)(['\"]{0,2}\s{0,4}[:=]\s{0,4}['\"]{0,2})"
    r"(?:(bearer|basic|token)\s{1,4})?[^\s'\",;}]{1,4096}"
)
_SCHEME = re.compile(r"(?i)\b(bearer|basic)\s{1,4}(?=[^\s'\",;}]{0,64}[0-9=])[A-Za-z0-9._~+/=-]{8,4096}")
_PAIR = re.compile(
    r"(?i)(?<![a-z])(api[_-]?key|secret|password|passwd|passphrase|access[_-]?token|auth[_-]?token|token)"
    r"(['\"]{0,2}=['\"]{0,2}|['\"]\s{0,4}:\s{0,4}['\"])([^\s'\",;&}]{4,4096})"
)

_made = set[str]()


class Secret:
    """A value that does not show: printed, formatted or logged it is `[secret]`; it can be neither stored nor sent.

    >>> key = Secret("abc-123-abc-123")
    >>> print(key, f"{key!r}"), redact("refused: abc-123-abc-123")
    [secret] Secret([secret])
    (None, 'refused: [secret]')
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        """Args: `value` as it is; from now on `redact` and `hide` take it out of texts."""
        self._value = value
        know(value)

    def reveal(self) -> str:
        """The value, for the one place that needs it."""
        return self._value

    def same(self, other: str | bytes) -> bool:
        """Whether a text is the value, in a time that does not tell how much of it is right."""
        told = other.encode("utf-8", "surrogatepass") if isinstance(other, str) else other
        return hmac.compare_digest(self._value.encode("utf-8", "surrogatepass"), told)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __str__(self) -> str:
        return SHOWN

    def __repr__(self) -> str:
        return f"Secret({SHOWN})"

    def __format__(self, spec: str) -> str:
        return SHOWN

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret is neither stored nor sent to another process; say where it can be read")


def find(env: str = "", file: str | Path = "", what: str = "key") -> Secret | None:
    """A key from where it is kept.

    Args:
        env: name of the environment variable that has it; a variable that is not set is no key.
        file: with nothing but the key in it; goes before `env`.
        what: it is for, as errors call it.

    Returns:
        The key; `None` where there is none.

    Raises:
        UsageError: `env` is no variable's name (but the key itself, perhaps), the file cannot be read, or the key has
            characters that no header can carry.
    """
    where, text = f"${env}", ""
    if file:
        where = str(file)
        try:
            with Path(file).open("rb") as opened:
                text = opened.read(LARGEST + 1).decode("utf-8").strip()
        except (OSError, ValueError) as error:
            said = getattr(error, "strerror", None) or "it is no text"
            raise UsageError(f"{what}: {file} cannot be read: {said}") from None
        if not text:
            raise UsageError(f"{what}: {file} is empty")
    elif env:
        if not _VARIABLE.fullmatch(env) or _MADE.search(env):
            # It may be the key itself: it is not repeated.
            raise UsageError(f"{what}: give the name of the environment variable that holds it, such as OPENAI_API_KEY")
        text = os.environ.get(env, "").strip()
    if not text:
        return None
    if not text.isascii() or not text.isprintable() or len(text) > LARGEST:
        raise UsageError(f"the {what} in {where} has characters that no header can carry")
    return Secret(text)


# Taking out ----------------------------------------------------------------------------------------------------------


def know(*values: str) -> None:
    """Take these values out of texts from now on, and what HTTP makes of `user:password`."""
    _made.update(value for value in values if _worth(value))


def know_url(url: str) -> str:
    """Remember the password in an address, if it has one; gives the address as it may be shown."""
    try:
        parts = urlsplit(url)
        if parts.password:
            import base64

            pair = f"{parts.username or ''}:{parts.password}"
            know(parts.password, pair, base64.b64encode(pair.encode()).decode())
    except ValueError:
        pass
    return redact(url)


def hide(text: str) -> str:
    """A text without the values that are known, otherwise as it is: for what models and environments said."""
    for value in _values():
        if value in text:
            text = text.replace(value, SHOWN)
    return text


def hidden(value: Any) -> Any:
    """JSON values with `hide` done to every text in them; keys that are plain names stay."""
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, Mapping):
        items = cast(Mapping[str, Any], value).items()
        return {(key if _VARIABLE.fullmatch(key) else hide(key)): hidden(inner) for key, inner in items}
    if isinstance(value, list | tuple):
        return [hidden(inner) for inner in cast(Sequence[Any], value)]
    return value


def redact(text: str) -> str:
    """A text without known values and without what looks like a key: for errors, logs and command lines.

    >>> redact("GET http://ann:hunter2@host/v1: 401, Authorization: Bearer abcdef123456")
    'GET http://[secret]@host/v1: 401, Authorization: [secret]'
    """
    text = hide(text)
    if "://" in text:
        text = _USERINFO.sub(rf"\1{SHOWN}@", text)
    text = _HEADER.sub(rf"\1\2{SHOWN}", text)
    text = _SCHEME.sub(rf"\1 {SHOWN}", text)
    text = _PAIR.sub(rf"\1\2{SHOWN}", text)
    return _MADE.sub(SHOWN, text)


def redact_words(words: Sequence[str]) -> list[str]:
    """A command line as it may be written down.

    >>> redact_words(["eval", "--policy-option", "api_key=abc", "--judge.api_key", "abc", "--judge.token=abc"])
    ['eval', '--policy-option', 'api_key=[secret]', '--judge.api_key', '[secret]', '--judge.token=[secret]']
    """
    found: list[str] = []
    after = False
    for word in words:
        name, equals, value = word.partition("=")
        if after and not word.startswith("--"):
            found.append(SHOWN)
        elif equals and value and _KEY.match(name.lstrip("-")):
            found.append(f"{name}={SHOWN}")
        else:
            found.append(redact(word))
        after = not equals and word.startswith("--") and bool(_KEY.match(word.lstrip("-")))
    return found


def know_words(words: Sequence[str]) -> None:
    """Remember the values that a command line gives to names of keys, so that nothing later repeats them."""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        if _KEY.match(name.lstrip("-")) and (equals or word.startswith("--")):
            know(value if equals else following)
        if "://" in word:
            know_url(value if equals and "://" not in name else word)


class RedactingFormatter(logging.Formatter):
    """Formats log records, tracebacks included, without what `redact` takes out."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's line or lines."""
        return redact(super().format(record))


# Keeping out ---------------------------------------------------------------------------------------------------------


def is_secret(name: str) -> bool:
    """Whether a variable's name says that its value is a secret.

    >>> [is_secret(n) for n in ("OPENAI_API_KEY", "HF_TOKEN", "PGPASSWORD", "TOKENIZERS_PARALLELISM", "PATH")]
    [True, True, True, False, False]
    """
    return _is_secret(name)


def scrubbed(environ: Mapping[str, str], keep: Iterable[str] = ()) -> dict[str, str]:
    """Variables for a process that plays environments: those that hold secrets are left out.

    Left out are variables whose name says so, whose value has a password in an address, or contains a known secret.

    Args:
        environ: what there is.
        keep: names that stay all the same; those that `$AGENTGYM_PASS_ENV` lists do, too.
    """
    stay = {*keep, *(name.strip() for name in environ.get(PASS, "").split(","))}
    return {
        name: value
        for name, value in environ.items()
        if name in stay or not (is_secret(name) or _USERINFO.search(value) or hide(value) != value)
    }


def named_in(options: Mapping[str, Any]) -> list[str]:
    """The variables that options name, as in `token_env = "NAME"`: an environment may read those that it is told of."""
    given = [value for key, value in options.items() if key.endswith("_env")]
    names = [name for one in given for name in (cast(list[Any], one) if isinstance(one, list | tuple) else [one])]
    return [name for name in names if isinstance(name, str) and name]


def refuse_literals(data: Mapping[str, Any]) -> str | None:
    """What is wrong with a configuration that has a key written into it; `None` where it has none.

    The text names the place and what to do instead, and does not repeat the key.

    >>> refuse_literals({"scorers": [{"use": "judge", "api_key": "abc"}]})
    "scorers.0.api_key: a key does not belong in a file; name the variable that holds it (such as api_key_env = 'NAME')"
    >>> refuse_literals({"scorers": [{"use": "judge", "api_key_env": "MY_KEY", "max_tokens": 64}]})
    """
    for place, key, value in _texts(data, ()):
        where = ".".join(place)
        if key.endswith("_env"):
            if value and (not _VARIABLE.fullmatch(value) or _MADE.search(value)):
                return f"{where}: must be the name of an environment variable, and never the key itself"
        elif (value and _KEY.match(key)) or _MADE.search(value):
            return (
                f"{where}: a key does not belong in a file; name the variable that holds it "
                "(such as api_key_env = 'NAME')"
            )
        elif _USERINFO.search(value):
            return f"{where}: an address with a password does not belong in a file; give the password as a key instead"
    return None


def _texts(value: Any, place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str, str]]:
    if isinstance(value, Mapping):
        for key, inner in cast(Mapping[str, Any], value).items():
            yield from _texts(inner, (*place, str(key)))
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(cast(Sequence[Any], value)):
            yield from _texts(inner, (*place, str(number)))
    elif isinstance(value, str):
        yield place, next((part for part in reversed(place) if not part.isdigit()), ""), value


@lru_cache(4096)
def _is_secret(name: str) -> bool:
    return bool(_NAME.search(name)) or name.upper().endswith(("PASSWORD", "APIKEY", "SECRET"))


def _worth(value: str) -> bool:
    """Whether a value is looked for: neither short, nor a path."""
    return len(value) >= SHORTEST and not value.startswith(("/", "~", "./"))


def _values() -> list[str]:
    """All forms in which a known value may stand in a text, the longest first."""
    there = _made | {value for name, value in os.environ.items() if is_secret(name) and _worth(value)}
    return _forms(frozenset(there)) if there else []


@lru_cache(64)
def _forms(values: frozenset[str]) -> list[str]:
    found = set[str]()
    for value in values:
        found |= {value, value.strip(), json.dumps(value)[1:-1], repr(value)[1:-1], quote(value, safe="")}
    return sorted((form for form in found if len(form) >= SHORTEST), key=lambda form: (-len(form), form))
