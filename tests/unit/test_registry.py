"""Names to plug-ins: found without importing, refused with the nearest name, loaded from files."""

from __future__ import annotations

import pickle
import subprocess
import sys
import textwrap

import pytest

from agentgym import registry
from agentgym.errors import MissingExtraError, UnknownNameError, UsageError
from agentgym.types import Observation


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Installs distributions into a folder on the path: `site("name", envs={"a-v0": "module:ATTR"})`."""

    def install(name, **groups):
        info = tmp_path / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = []
        for group, points in groups.items():
            lines += [f"[agentgym.{group}]", *(f"{k} = {v}" for k, v in points.items())]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        registry.refresh()
        return tmp_path

    monkeypatch.syspath_prepend(str(tmp_path))
    yield install
    monkeypatch.undo()
    registry.refresh()


FILE = """
from agentgym import EnvSpec, Observation, Step, Task, TaskSet, TextEnv

class Echo(TextEnv):
    def __init__(self, loud=False):
        super().__init__()
        self.loud = loud
    def begin(self, task, rng):
        return Observation("say")
    def act(self, action):
        return Step.on(Observation(action.upper() if self.loud else action))

def tasks(split, size=2):
    return TaskSet(split, size, lambda i: Task(f"{split}-{i}", split=split))

SPEC = EnvSpec(id="echo-v0", entry=f"{__file__}:Echo", tasks=f"{__file__}:tasks")

class Policy:
    pass

class Credit:
    pass
"""


def test_the_shipped_names_are_there():
    assert {"keydoor-v0", "textworld-coin-v0"} <= set(registry.names("envs"))
    assert {"oracle", "random", "transformers"} <= set(registry.names("policies"))
    assert {"grpo", "anchor-state"} <= set(registry.names("credit"))
    assert all(registry.names(kind) == sorted(registry.names(kind)) for kind in ("envs", "policies", "credit"))


def test_listing_imports_no_plugin_and_loading_only_the_named_one():
    code = """
        import sys
        from agentgym import registry
        for kind in ("envs", "policies", "credit"):
            registry.names(kind)
        assert not {"agentgym_envs", "agentgym_policies", "torch", "gymnasium", "numpy"} & set(sys.modules)
        registry.make("keydoor-v0").close()
        assert "agentgym_envs.keydoor" in sys.modules
        assert not {"agentgym_envs.textworld", "agentgym_policies", "torch"} & set(sys.modules)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("envs", "keydor-v0", "unknown environment 'keydor-v0', did you mean 'keydoor-v0'?"),
        ("policies", "oracl", "unknown policy 'oracl', did you mean 'oracle'?"),
        ("credit", "grop", "unknown credit module 'grop', did you mean 'grpo'?"),
        ("envs", "keydoor", "did you mean 'keydoor-v0'? (ids carry a version)"),
    ],
)
def test_an_unknown_name_gets_the_nearest(kind, name, said):
    with pytest.raises(UnknownNameError) as error:
        registry.load(kind, name)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_an_id_without_version_is_offered_the_newest(site):
    site("third", envs={f"maze-v{n}": "maze:SPEC" for n in (1, 2, 10, 9)})
    with pytest.raises(UnknownNameError, match="'maze-v10'"):
        registry.load("envs", "maze")


def test_one_name_from_two_distributions_is_an_error_that_names_both(site):
    site("first-suite", envs={"maze-v0": "one:SPEC"}, credit={"mine": "one:Credit"})
    site("second-suite", envs={"maze-v0": "two:SPEC"})
    with pytest.raises(UsageError, match=r"'maze-v0'.*(first-suite|second-suite).*(first-suite|second-suite)"):
        registry.names("envs")
    assert "mine" in registry.names("credit")  # Other kinds go on.


def test_the_same_target_from_two_distributions_is_no_better(site):
    site("first-suite", credit={"mine": "one:Credit"})
    site("second-suite", credit={"mine": "one:Credit"})
    with pytest.raises(UsageError, match="two distributions"):
        registry.load("credit", "grpo")


def test_what_cannot_be_imported_says_whose_it_is(site):
    folder = site("third", credit={"bad": "badly:Credit", "gone": "nowhere_at_all:X", "empty": "fine_but_empty:X"})
    (folder / "badly.py").write_text("raise RuntimeError('no such luck')")
    (folder / "fine_but_empty.py").write_text("")
    with pytest.raises(UsageError, match=r"credit module 'bad' \(badly:Credit, from third\).*no such luck"):
        registry.load("credit", "bad")
    with pytest.raises(UsageError, match="needs the module 'nowhere_at_all'"):
        registry.load("credit", "gone")
    with pytest.raises(UsageError, match="'empty'"):
        registry.load("credit", "empty")


def test_a_missing_extra_names_the_command(site):
    folder = site("third", envs={"needy-v0": "needy_spec:SPEC"})
    (folder / "needy_spec.py").write_text(
        "from agentgym import EnvSpec\n"
        "SPEC = EnvSpec('needy-v0', entry='needy_env:Needy', tasks='needy_spec:tasks', extra='textworld')\n"
        "def tasks(split): ...\n"
    )
    (folder / "needy_env.py").write_text("import some_engine_nobody_has")
    with pytest.raises(MissingExtraError, match=r"pip install 'agentgym-suite\[textworld\]'"):
        registry.make("needy-v0")


@pytest.fixture
def file(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    return "./mine.py"


def test_a_file_gives_environments_policies_and_credit_modules(file):
    env = registry.make(f"{file}:SPEC", loud=True, size=3)
    assert env.reset(seed=0)[0] == Observation("say")
    assert env.step("hi").observation.text == "HI"
    assert env.env_spec.id == "echo-v0"
    assert len(registry.tasks(f"{file}:SPEC", "heldout", size=5)) == 5
    for kind, name in (("policies", "Policy"), ("credit", "Credit")):
        assert registry.load(kind, f"{file}:{name}").__name__ == name
        assert registry.load(kind, f"{file}:{name}") is registry.load(kind, f"{file}:{name}")


def test_a_spec_from_a_file_works_in_another_process(file):
    spec = registry.spec(f"{file}:SPEC")
    code = "import sys, pickle, agentgym as a; print(a.make(pickle.load(sys.stdin.buffer)).reset(seed=0)[0].text)"
    done = subprocess.run([sys.executable, "-c", code], input=pickle.dumps(spec), capture_output=True, check=True)
    assert done.stdout == b"say\n"


def test_files_that_do_not_work_say_why(file, tmp_path):
    (tmp_path / "broken.py").write_text("def f(:\n")
    with pytest.raises(UsageError, match="there is no file"):
        registry.load("envs", "./none.py:SPEC")
    with pytest.raises(UsageError, match=r"broken\.py cannot be imported: SyntaxError"):
        registry.load("envs", "./broken.py:SPEC")
    with pytest.raises(UnknownNameError, match="did you mean 'SPEC'"):
        registry.load("envs", f"{file}:SPECS")
    with pytest.raises(UsageError, match="expected an EnvSpec, found the class Echo"):
        registry.make(f"{file}:Echo")


def test_unknown_options_and_splits_are_refused():
    with pytest.raises(UnknownNameError, match=r"option of keydoor-v0 'room', did you mean 'rooms'\?"):
        registry.make("keydoor-v0", room=3)
    with pytest.raises(UnknownNameError, match="did you mean 'rooms'"):
        registry.tasks("keydoor-v0", room=3)
    with pytest.raises(UsageError, match="split must be one of train, heldout"):
        registry.tasks("keydoor-v0", "test")
    with pytest.raises(UsageError, match=r"'keydoor-v0'.*rooms = 'many'"):
        registry.tasks("keydoor-v0", rooms="many")


def test_make_takes_a_spec_and_resets_without_a_task():
    spec = registry.spec("keydoor-v0")
    assert registry.spec(spec) is spec
    env = registry.make(spec, rooms=5)
    first, info = env.reset(seed=3)
    assert (first, info) == env.reset(seed=3)
    assert info["task"] in {t.id for t in registry.tasks(spec, rooms=5)}
