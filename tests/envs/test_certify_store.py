"""Certificates as files: canonical, checked when read, stale when the environment is another one; and the command."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import certify_envs as envs
import pytest

from agentgym import registry
from agentgym.certify import fingerprint, store
from agentgym.certify.sources import sources
from agentgym.cli import main
from agentgym.cli.listing import certified
from agentgym.errors import StoreError
from agentgym_envs.keydoor import SPEC

PACKAGE = Path(__file__).parents[2] / "envs" / "agentgym_envs"


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data" / "agentgym"


def record(**changes):
    made = {
        "schema": store.SCHEMA, "env": SPEC.id, "agentgym": "0", "python": "3", "platform": "Linux", "quick": False,
        "fingerprint": fingerprint(SPEC), "date": "2026-03-04", "options": {}, "settings": {}, "ok": True,
        "complete": True, "findings": [],
    }  # fmt: skip
    return {**made, **changes}


def test_written_and_read_it_is_the_same_and_only_as_written(tmp_path):
    path = tmp_path / "a" / "c.json"
    store.write(record(), path)
    found = store.read(path)
    assert {**record(), "digest": found["digest"]} == found
    text = path.read_text()
    store.write(found, path)
    assert path.read_text() == text
    for damaged in (text.replace("2026-03-04", "2026-03-05"), text[:-40], text.replace(" ", "", 1), "[]", "\0"):
        path.write_text(damaged)
        with pytest.raises(StoreError, match=str(path)):
            store.read(path)
    store.write(record(schema=99), path)
    with pytest.raises(StoreError, match="schema 99"):
        store.read(path)
    assert [p.name for p in path.parent.iterdir()] == ["c.json"]


def test_status_is_yes_stale_or_no():
    spec = replace(SPEC, id="elsewhere-v0")  # ships no certificate
    assert store.status(spec) == {"state": "no"}
    path = store.own_path(spec.id, {})
    mine = record(env=spec.id, fingerprint=fingerprint(spec))
    for changes, state in (
        ({}, "yes"),
        ({"fingerprint": "0"}, "stale"),
        ({"quick": True}, "no"),
        ({"complete": False}, "no"),
        ({"ok": False}, "no"),
        ({"env": "other-v0"}, "no"),
    ):
        store.write({**mine, **changes}, path)
        assert store.status(spec)["state"] == state, changes
    path.write_text("torn")
    assert store.status(spec) == {"state": "no"}
    store.write(record(env=spec.id, fingerprint=fingerprint(spec, {"rooms": 5})), store.own_path(spec.id, {"rooms": 5}))
    assert store.status(spec, {"rooms": 5})["state"] == "yes"
    assert store.status(spec)["state"] == "no"


def test_the_fingerprint_follows_sources_data_spec_and_options(tmp_path, monkeypatch):
    package = tmp_path / "hunt"
    shutil.copytree(PACKAGE / "keydoor", package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "extra.py").write_text("SIZE = 1\n")
    (package / "tasks.py").write_text("from hunt.extra import SIZE\n" + (package / "tasks.py").read_text())
    (package / "words.txt").write_text("one")
    monkeypatch.syspath_prepend(str(tmp_path))
    spec = replace(SPEC, entry="hunt.env:KeyDoor", tasks="hunt.tasks:tasks")
    assert [name for name, _ in sources(spec)] == ["hunt", "hunt.env", "hunt.extra", "hunt.tasks", "hunt/words.txt"]
    seen = {fingerprint(spec), fingerprint(spec, {"rooms": 5}), fingerprint(replace(spec, max_turns=9))}
    for name in ("env.py", "extra.py", "words.txt"):
        (package / name).write_text((package / name).read_text() + "\n")
        seen.add(fingerprint(spec))
    assert len(seen) == 6
    (package / "README.md").write_text("other words")
    assert fingerprint(spec) in seen
    assert fingerprint(replace(spec, summary="other words")) in seen
    assert "hunt" not in sys.modules  # read, not run


def test_what_two_environments_of_one_package_do_not_share_is_not_in_both():
    names = {name for name, _ in sources(registry.spec("tools-stateful-v0"))}
    assert "agentgym_envs.tools.env" in names
    assert "agentgym_envs.tools.stateful.bank" in names
    assert not [name for name in names if "bfcl" in name or "keydoor" in name]


def test_every_shipped_certificate_is_whole_and_of_an_environment_that_is_there():
    paths = sorted((PACKAGE / "certificates").glob("*.json"))
    assert paths
    for path in paths:
        found = store.read(path)
        assert path.name == f"{found['env']}.json"
        assert found["env"] in registry.names("envs")
        assert found["ok"] and found["complete"] and not found["quick"]  # noqa: PT018
        assert store.status(registry.spec(found["env"]))["state"] in ("yes", "stale")


def test_the_command_certifies_stores_and_lists(capsys, data):
    few = ["--episodes", "40", "--fuzz-seconds", "1", "--date", "2026-03-04"]
    assert main(["certify", "keydoor-v0", *few]) == 0
    said = capsys.readouterr()
    assert "29 of 29 hold" in said.out
    assert str(data) in said.err
    assert certified("keydoor-v0")["date"] == "2026-03-04"
    assert certified("keydoor-v0")["state"] == "yes"
    assert certified("no-such-v0") == {"state": "no"}


def test_the_command_says_what_fails_and_writes_nothing(capsys, data, tmp_path, monkeypatch):
    file = tmp_path / "mine.py"
    file.write_text(
        "from dataclasses import replace\nfrom agentgym_envs.keydoor import SPEC as KEYDOOR\n"
        "from agentgym_envs.keydoor.env import KeyDoor\nfrom agentgym.types import Step\n"
        "class Mine(KeyDoor):\n"
        "    def act(self, action):\n"
        "        step = super().act(action)\n"
        "        return Step.success(step.observation, progress=1.0) if 'success' in action else step\n"
        "SPEC = replace(KEYDOOR, id='mine-v0', entry=f'{__name__}:Mine')\n"
    )
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "c.json"
    assert main(["certify", "./mine.py:SPEC", "--quick", "--only", "claims", "--only", "freed", "--out", str(out)]) == 1
    said = capsys.readouterr().out
    assert "FAILED  claims" in said
    assert "ok      freed" in said
    assert not store.read(out)["ok"]
    assert not (data / "certificates").exists()
    assert main(["certify", "./mine.py:SPEC", "--quick", "--only", "freed", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["complete"] is False
    assert not (data / "certificates").exists()


def test_the_command_refuses_what_makes_no_sense(capsys):
    for words, said in (
        (["--only", "leek"], "did you mean 'leaks'"),
        (["--date", "tomorrow"], "not a date"),
        (["--fuzzer", "magic"], "fuzzer must be one of"),
        (["--replay", "nowhere.json"], "cannot be read"),
        (["--option", "rooms=2", "--quick", "--only", "freed"], ""),
    ):
        code = main(["certify", "keydoor-v0", *words])
        assert code == (2 if said else 1)
        assert said in capsys.readouterr().err
    assert main(["certify", "keydoor-v0", "--dry-run"]) == 0
    assert "2,000 episodes for leaks" in capsys.readouterr().out


def test_specs_travel_to_other_processes():
    from agentgym.certify.naming import from_record, to_record

    for spec in (SPEC, envs.spec(), *map(registry.spec, registry.names("envs"))):
        assert from_record(json.loads(json.dumps(to_record(spec)))) == spec
