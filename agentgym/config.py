"""Strict configuration: pydantic models read from TOML, with dotted overrides from the command line.

Nothing is guessed: an unknown key, a wrong type or broken TOML is a `ConfigError` of one line that names the file, the
dotted key and, for a misspelling, the nearest key that exists.
"""

from __future__ import annotations

import inspect
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import pydantic

from agentgym.errors import ConfigError, did_you_mean
from agentgym.secrets import redact, refuse_literals

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


class Config(pydantic.BaseModel):
    """Base of every configuration: frozen, unknown keys refused, field docstrings become descriptions."""

    model_config = pydantic.ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False, validate_default=True
    )


C = TypeVar("C", bound=Config)


def load(model: type[C], path: str | Path, overrides: Sequence[str] | Mapping[str, Any] = ()) -> C:
    """Read a TOML file as `model`, after putting the overrides over it.

    Args:
        model: what the file must look like.
        path: the file.
        overrides: `["--trainer.lr", "1e-5", "--seed=3"]` or `{"trainer.lr": 1e-5}`. Values are read as TOML, and as
            plain text where they are not TOML; a number in a dotted key is an index into a list of tables.

    Raises:
        ConfigError: file missing, not TOML, an unknown key, a wrong value, or a key or password written into it.
    """
    path = Path(path)
    text = ""
    try:
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        said = str(error).replace("at end of document", f"at line {text.count(chr(10)) + 1}, the end of the document")
        raise ConfigError(f"{path}: not valid TOML: {said}") from error
    pairs = overrides.items() if isinstance(overrides, Mapping) else parse_overrides(overrides)
    for key, value in pairs:
        _put(data, key, value)
    wrong = refuse_literals(data)
    if wrong is not None:
        raise ConfigError(f"{path}: {wrong}")
    return parse(model, data, str(path))


def parse(model: type[C], data: Mapping[str, Any], where: str) -> C:
    """`data` as `model`; `where` is the file or place that error messages name.

    Raises:
        ConfigError: an unknown key or a wrong value.
    """
    try:
        # By way of JSON, where strict means what TOML means: a list fills a tuple and a string an enum, but neither
        # "3" nor true is a number.
        return model.model_validate_json(json.dumps(data, default=str), strict=True)
    except pydantic.ValidationError as error:
        raise ConfigError("\n".join(_explain(model, one, where) for one in error.errors())) from None


def parse_overrides(arguments: Sequence[str]) -> list[tuple[str, Any]]:
    """`["--a.b", "1", "--c=x"]` as `[("a.b", 1), ("c", "x")]`; a flag without a value is `True`.

    Raises:
        ConfigError: something that is no `--key value`.
    """
    pairs: list[tuple[str, Any]] = []
    rest = list(arguments)
    while rest:
        flag = rest.pop(0)
        if not flag.startswith("--") or len(flag) < 3:
            raise ConfigError(f"{flag!r} is no override; write --key.subkey value")
        key, equals, text = flag[2:].partition("=")
        if not equals:
            text = rest.pop(0) if rest and not rest[0].startswith("--") else "true"
        pairs.append((key, _value(text)))
    return pairs


def dump(config: Config) -> str:
    """The configuration as TOML that `load` reads back to an equal one. Values that are `None` are left out."""
    lines: list[str] = []
    _write(config.model_dump(mode="json", exclude_none=True), (), lines)
    return "\n".join(lines).strip() + "\n"


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"v = {text}")["v"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return text


def _put(data: dict[str, Any], key: str, value: Any) -> None:
    place: Any = data
    parts = key.split(".")
    for depth, part in enumerate(parts):
        last = depth == len(parts) - 1
        if isinstance(place, list):
            items = cast(list[Any], place)
            if not part.isdigit() or int(part) >= len(items):
                raise ConfigError(f"--{key}: {'.'.join(parts[:depth])} has entries 0 to {len(items) - 1}, not {part!r}")
            if last:
                items[int(part)] = value
            else:
                place = items[int(part)]
        elif isinstance(place, dict):
            table = cast(dict[str, Any], place)
            if last:
                table[part] = value
            else:
                place = table.setdefault(part, {})
        else:
            raise ConfigError(f"--{key}: {'.'.join(parts[:depth])} is a value, not a table")


def _explain(model: type[Config], first: Mapping[str, Any], where: str) -> str:
    """One line for one of pydantic's errors."""
    place = tuple(str(p) for p in first["loc"])
    key = ".".join(place)
    if first["type"] == "extra_forbidden":
        known = _fields(model, place[:-1])
        hint = did_you_mean(place[-1], known)
        return f"{where}: {key}: unknown key{hint}"
    elif first["type"] == "missing":
        return f"{where}: {key}: is missing and has no default"
    shown = redact(repr(first["input"]))
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return f"{where}: {key or 'the whole'}: {first['msg'][:1].lower()}{first['msg'][1:]}, got {shown}"


def _fields(model: type[Config], place: Sequence[str]) -> list[str]:
    """Names of the fields of the table at `place`."""
    for part in place:
        field = model.model_fields.get(part)
        if field is None:
            continue  # An index, or a branch of a union.
        model = _model_in(field.annotation) or model
    return list(model.model_fields)


def _model_in(kind: Any) -> type[Config] | None:
    """The first configuration class in an annotation such as `tuple[X, ...] | None`."""
    if inspect.isclass(kind) and issubclass(kind, Config):
        return kind
    return next((found for part in getattr(kind, "__args__", ()) if (found := _model_in(part))), None)


def _write(table: Mapping[str, Any], path: tuple[str, ...], lines: list[str]) -> None:
    simple = {k: v for k, v in table.items() if not _is_table(v) and not _is_tables(v)}
    lines += [f"{_key(k)} = {_toml(v)}" for k, v in simple.items()]
    for name, value in table.items():
        here = (*path, _key(name))
        if _is_table(value):
            lines += ["", f"[{'.'.join(here)}]"]
            _write(value, here, lines)
        elif _is_tables(value):
            for entry in value:
                lines += ["", f"[[{'.'.join(here)}]]"]
                _write(entry, here, lines)


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(cast(list[Any], value)) and all(map(_is_table, cast(list[Any], value)))


def _key(name: str) -> str:
    return name if BARE_KEY.fullmatch(name) else _text(name)


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _toml(value: Any) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list):
        return "[" + ", ".join(_toml(v) for v in cast(list[Any], value)) + "]"
    if isinstance(value, Mapping):
        pairs = cast(Mapping[str, Any], value)
        return "{ " + ", ".join(f"{_key(k)} = {_toml(v)}" for k, v in pairs.items()) + " }"
    raise ConfigError(f"{value!r} cannot be written as TOML")
