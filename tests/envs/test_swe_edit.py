"""Editing, diffs, trimming and the shell's dialect: plain functions, whatever a model writes."""

from __future__ import annotations

import difflib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import agentgym_envs.swe  # noqa: F401 - registers the dialect
from agentgym import dialects
from agentgym.dialects import MAX_ACTION, ToolCall, calls_in
from agentgym_envs.swe import diffs
from agentgym_envs.swe.actions import ShellBlock
from agentgym_envs.swe.edit import EditError, insert_after, replace_once, towards
from agentgym_envs.swe.lines import lines_of
from agentgym_envs.swe.oracle import next_call, targets
from agentgym_envs.swe.rewards import WEIGHTS, partial
from agentgym_envs.swe.trim import trim
from agentgym_envs.weighing import weights

LINE = st.sampled_from(["a", "b", "", "  a", "def f():", "-x", "+x", "--- q", "@@", "\tt", "é", "end", "\\ No"])
TEXT = st.builds(
    lambda lines, end: "\n".join(lines) + ("\n" if end and lines else ""), st.lists(LINE, max_size=12), st.booleans()
)
PARTS = [
    "--- a/f\n", "+++ b/f\n", "@@ -1 +1 @@\n", "@@\n", "-a\n", "+b\n", " c\n", "\n", "\\ No newline\n",
    "diff --git a/f b/g\n", "rename to g\n", "x",
]  # fmt: skip
TOOLS = frozenset({"apply_patch", "shell", "view", "replace", "create", "run_tests", "submit"})


BEFORE = {"m.py": "".join(f"x{n} = {n}\n" for n in range(60)), "old.py": "a\n"}
CHANGED = BEFORE["m.py"].replace("x7 = 7", "x7 = 8").replace("x50 = 50\n", "")
AFTER = {"m.py": CHANGED, "old.py": "a\n", "n.py": "new\n" * 900}


def unified(before: str, after: str, path: str = "f.py", context: int = 3) -> str:
    """A diff as git writes it."""
    made: list[str] = []
    for line in difflib.unified_diff(lines_of(before), lines_of(after), f"a/{path}", f"b/{path}", n=context):
        made.append(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")
    return "".join(made)


class TestReplace:
    def test_of_what_is_there_once(self) -> None:
        assert replace_once("x = 1\ny = 2\n", "y = 2", "y = 3") == ("x = 1\ny = 3\n", 2)

    @pytest.mark.parametrize(
        ("old", "new", "reason"),
        [
            ("", "x", "is empty"),
            ("x", "x", "are the same"),
            ("z", "x", "is not there"),
            ("a", "x", "more than once (lines 1, 3)"),
            ("if b:\n  c", "x", "other spaces stand in line 4"),
            ("if b:\nq", "x", "its first line stands in line 4"),
        ],
    )
    def test_says_why_not(self, old: str, new: str, reason: str) -> None:
        with pytest.raises(EditError) as caught:
            replace_once("a\nb\na\n    if b:\n      c\n", old, new)
        assert reason in str(caught.value)

    def test_keeps_the_line_ends_of_the_file(self) -> None:
        assert replace_once("a\r\nb\r\nc\r\n", "a\nb", "x\ny")[0] == "x\r\ny\r\nc\r\n"

    def test_overlaps_count(self) -> None:
        with pytest.raises(EditError, match="more than once"):
            replace_once("aaa", "aa", "b")

    @settings(deadline=None)
    @given(TEXT, st.text(max_size=4), st.text(max_size=4))
    def test_one_place_changes_or_none(self, text: str, old: str, new: str) -> None:
        try:
            changed, line = replace_once(text, old, new)
        except EditError:
            assert not old or old == new or text.count(old) != 1 or text.find(old, text.find(old) + 1) >= 0
        else:
            assert changed == text.replace(old, new)
            assert 1 <= line <= text.count("\n") + 1


class TestInsert:
    @pytest.mark.parametrize(("line", "made"), [(0, "x\na\nb"), (1, "a\nx\nb"), (2, "a\nb\nx\n")])
    def test_puts_whole_lines(self, line: int, made: str) -> None:
        assert insert_after("a\nb", line, "x") == made

    @pytest.mark.parametrize("line", [-1, 3])
    def test_needs_a_line_that_is_there(self, line: int) -> None:
        with pytest.raises(EditError, match="there is no line"):
            insert_after("a\nb", line, "x")

    def test_into_an_empty_file(self) -> None:
        assert insert_after("", 0, "x") == "x\n"

    def test_needs_a_text(self) -> None:
        with pytest.raises(EditError, match="nothing to insert"):
            insert_after("a", 0, "")


class TestDiffs:
    @settings(deadline=None)
    @given(TEXT, TEXT, st.integers(0, 3))
    @example("a\n", "", 3)
    @example("", "a", 0)
    def test_leads_from_one_text_to_the_other(self, before: str, after: str, context: int) -> None:
        if before == after:
            return
        assert diffs.apply(unified(before, after, context=context), {"f.py": before}.get) == {"f.py": after}

    @settings(max_examples=50, deadline=None)
    @given(TEXT, TEXT, st.integers(1, 5))
    def test_is_found_where_lines_were_added_above(self, before: str, after: str, shift: int) -> None:
        if before == after or not before:
            return
        above = "".join(f"above {n}\n" for n in range(shift))
        diff = unified(before, after, context=100)
        assert diffs.apply(diff, {"f.py": above + before}.get) == {"f.py": above + after}

    def test_with_wrong_counts(self) -> None:
        diff = "--- a/f.py\n+++ b/f.py\n@@ -1,9 +1,2 @@\n a\n-b\n+c\n\n@@ -9 +9 @@\n d\n+e\n"
        assert diffs.apply(diff, {"f.py": "a\nb\nx\nd\n"}.get) == {"f.py": "a\nc\nx\nd\ne\n"}

    def test_without_line_numbers_must_be_unique(self) -> None:
        diff = "--- a/f.py\n+++ b/f.py\n@@ @@\n-b\n+c\n"
        assert diffs.apply(diff, {"f.py": "a\nb\n"}.get) == {"f.py": "a\nc\n"}
        with pytest.raises(EditError, match="stand at 2 places"):
            diffs.apply(diff, {"f.py": "b\nb\n"}.get)

    def test_takes_the_nearest_place(self) -> None:
        diff = "--- a/f.py\n+++ b/f.py\n@@ -4 +4 @@\n-b\n+c\n"
        assert diffs.apply(diff, {"f.py": "b\n1\n2\n3\nb\n"}.get) == {"f.py": "b\n1\n2\n3\nc\n"}

    def test_of_several_files(self) -> None:
        diff = (
            "diff --git a/new.txt b/new.txt\nnew file mode 100644\n--- /dev/null\n+++ b/new.txt\n"
            "@@ -0,0 +1,2 @@\n+1\n+2\n"
            "diff --git a/old.txt b/old.txt\ndeleted file mode 100644\n--- a/old.txt\n+++ /dev/null\n"
            "@@ -1 +0,0 @@\n-x\n"
            "diff --git a/p.txt b/q.txt\nsimilarity index 100%\nrename from p.txt\nrename to q.txt\n"
            "diff --git a/empty b/empty\nnew file mode 100644\nindex 000..e69\n"
        )
        held = {"old.txt": "x\n", "p.txt": "p\n"}
        wanted = {"new.txt": "1\n2\n", "old.txt": None, "p.txt": None, "q.txt": "p\n", "empty": ""}
        assert diffs.apply(diff, held.get) == wanted
        assert diffs.files(diff) == {"new.txt": None, "old.txt": "old.txt", "q.txt": "p.txt", "empty": None}

    @pytest.mark.parametrize(
        ("diff", "reason"),
        [
            ("", "no unified diff"),
            ("hello", "no unified diff"),
            ("@@ -1 +1 @@\n-a\n+b\n", "no file names"),
            ("--- a/f.py\n+++ b/f.py\n@@ -1 +1 @@\n-zz\n+b\n", "there is no line 'zz'"),
            ("--- a/f.py\n+++ b/f.py\n@@ -1,2 +1 @@\n-b\n-a\n+b\n", "not one after the other"),
            ("--- a/f.py\n+++ b/f.py\n@@ -1 +1 @@\n", "is empty"),
            ("--- a/f.py\n+++ b/f.py\n@@ x\n", "no hunk header"),
            ("--- a/g.py\n+++ b/g.py\n@@ -1 +1 @@\n-a\n+b\n", "no such file"),
            ("--- /dev/null\n+++ b/f.py\n@@ -0,0 +1 @@\n+b\n", "is there already"),
            ("--- /dev/null\n+++ /dev/null\n@@ -0,0 +1 @@\n+b\n", "from nothing to nothing"),
            ("--- a/f.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n", "does not have all its lines"),
            ("--- a/../f.py\n+++ b/../f.py\n@@ -1 +1 @@\n-a\n+b\n", "below the folder"),
            ("--- /etc/passwd\n+++ /etc/passwd\n@@ -1 +1 @@\n-a\n+b\n", "below the folder"),
            ('--- "a/f.py"\n+++ "b/f.py"\n@@ -1 +1 @@\n-a\n+b\n', "in quotes"),
            ("diff --git a/f.bin b/f.bin\nGIT binary patch\nliteral 3\n", "binary"),
            ("diff --git a/f.py b/h.py\ncopy from f.py\ncopy to h.py\n", "copies"),
        ],
    )
    def test_says_why_not(self, diff: str, reason: str) -> None:
        with pytest.raises(EditError) as caught:
            diffs.apply(diff, {"f.py": "a\nb\n"}.get)
        assert reason in str(caught.value)

    @settings(max_examples=200, deadline=None)
    @given(st.lists(st.sampled_from(PARTS), max_size=12))
    def test_any_text_gives_texts_or_a_reason(self, parts: list[str]) -> None:
        try:
            made = diffs.apply("".join(parts), {"f": "a\nc\n"}.get)
        except EditError:
            return
        assert set(made) <= {"f", "g"}

    def test_files_with_other_line_ends(self) -> None:
        diff = "--- a/f.py\n+++ b/f.py\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"
        assert diffs.apply(diff, {"f.py": "a\r\nb\r\n"}.get) == {"f.py": "a\r\nc\r\n"}


class TestTowards:
    @settings(max_examples=300, deadline=None)
    @given(TEXT, TEXT, st.sampled_from([40, 2000]))
    def test_gets_there(self, text: str, target: str, most: int) -> None:
        for _ in range(200):
            if text == target or not text:
                return
            found = towards(text, target, most)
            if found is None:
                assert most == 40
                return
            assert len(found.old) + len(found.new) <= most
            text = replace_once(text, found.old, found.new)[0]
        raise AssertionError(text)

    def test_long_texts_in_pieces(self) -> None:
        text = "".join(f"line {n}\n" for n in range(400))
        target = "".join(f"{n} is another\n" for n in range(500))
        turns = 0
        while text != target:
            found = towards(text, target, 900)
            assert found is not None
            assert len(found.old) + len(found.new) <= 900
            text = replace_once(text, found.old, found.new)[0]
            turns += 1
        assert turns < 80


class TestTrim:
    @settings(deadline=None)
    @given(st.text(alphabet="ab\n", max_size=300), st.integers(1, 80), st.integers(1, 12))
    def test_keeps_to_the_bounds_and_to_both_ends(self, text: str, characters: int, lines: int) -> None:
        made = trim(text, characters, lines)
        if len(text) <= characters and text.count("\n") < lines:
            assert made == text
            return
        head, note, tail = made.partition("[... ")
        note, _, tail = tail.partition(" left out ...]")
        head, tail = head.removesuffix("\n"), tail.removeprefix("\n")
        assert note
        assert len(head) + len(tail) <= characters
        assert head.count("\n") + tail.count("\n") + 2 <= lines + 2
        assert text.startswith(head)
        assert tail in text

    def test_one_long_line(self) -> None:
        assert trim("x" * 100 + "y" * 100, 10) == "xxxxx\n[... 190 characters left out ...]\nyyyyy"


class TestShellBlock:
    dialect = ShellBlock()

    def test_is_known_by_its_name(self) -> None:
        assert isinstance(dialects.get("shell-block"), ShellBlock)

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("ls", "no ```bash block"),
            ("", "no ```bash block"),
            ("```bash\nls", "not closed"),
            ("```bash\nls\n```\n```bash\npwd\n```", "2 blocks"),
            ("```bash\n\n```", "empty"),
            ("```python\nx = 1\n```", "no ```bash block"),
            ("<think>```bash\nls\n```", "not closed"),
            (f"```bash\n{'x' * MAX_ACTION}\n```", "longer than"),
        ],
    )
    def test_says_what_is_wrong(self, text: str, reason: str) -> None:
        parsed = self.dialect.parse(text)
        assert parsed.action is None
        assert reason in str(parsed.fault)

    def test_other_blocks_and_thoughts_are_talk(self) -> None:
        text = (
            "<think>```bash\nrm x\n```</think>The code:\n```python\nx\n```\nso ```ls``` it:\n"
            "```sh\nls -l\ncat <<'E'\nE\n```\nDone."
        )
        wanted = ToolCall("shell", {"command": "ls -l\ncat <<'E'\nE"})
        assert calls_in(self.dialect.parse(text).action or "") == (wanted,)

    @settings(deadline=None)
    @given(
        st.one_of(
            st.builds(lambda c: ToolCall("shell", {"command": c}), st.text("ls`\n {}[]\"'submit", min_size=1)),
            st.builds(lambda t: ToolCall("create", {"path": "p", "text": t}), st.text(max_size=40)),
            st.just(ToolCall("submit")),
            st.just(ToolCall("shell", {"command": "submit"})),
            st.just(ToolCall("shell", {"command": '{"name": "submit"}'})),
        )
    )
    def test_reads_back_what_it_writes(self, call: ToolCall) -> None:
        action = call.canonical()
        assert self.dialect.parse(self.dialect.render(action)).action == action

    @settings(deadline=None)
    @given(st.text(max_size=200))
    def test_takes_any_text(self, text: str) -> None:
        parsed = self.dialect.parse(text)
        assert (parsed.action is None) == (parsed.fault is not None)


class TestOracle:
    """By the tools alone, over a dictionary of files."""

    def patch(self) -> str:
        m = unified(BEFORE["m.py"], AFTER["m.py"], "m.py")
        new = unified("", AFTER["n.py"], "n.py").replace("--- a/n.py", "--- /dev/null")
        return m + new

    def play(self, files: dict[str, str], tools: frozenset[str]) -> list[ToolCall]:
        wanted = targets(self.patch(), BEFORE.get)
        made: list[ToolCall] = []
        looked = tested = False
        while not made or made[-1].name != "submit":
            call = next_call(wanted, files.get, looked, tested, tools)
            assert call is not None
            assert len(call.canonical()) <= MAX_ACTION
            made.append(call)
            given = call.arguments
            if call.name == "replace":
                files[given["path"]] = replace_once(files[given["path"]], given["old"], given["new"])[0]
            elif call.name == "create":
                files[given["path"]] = given["text"]
            elif call.name == "apply_patch":
                files |= {path: text or "" for path, text in diffs.apply(given["diff"], files.get).items()}
            looked, tested = looked or call.name == "view", call.name == "run_tests"
            assert len(made) < 30
        return made

    def test_leads_to_the_fix(self) -> None:
        files = dict(BEFORE)
        names = [call.name for call in self.play(files, TOOLS)]
        assert {**files, "old.py": "a\n"} == AFTER
        assert names[0] == "view"
        assert names[-2:] == ["run_tests", "submit"]

    def test_goes_on_from_anywhere(self) -> None:
        files = {"m.py": "x1 = 1\nx1 = 1\n", "n.py": "", "old.py": "a\n"}
        self.play(files, TOOLS)
        assert files == AFTER

    def test_knows_no_way_without_a_patch(self) -> None:
        assert targets("", BEFORE.get) == {}
        assert targets("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n", BEFORE.get) == {}
        assert next_call({}, BEFORE.get, True, True, TOOLS) is None


class TestRewards:
    def test_partial_is_whole_only_where_all_is_well(self) -> None:
        assert partial(["a", "b"], [], 3, 0) == 1.0
        assert partial(["a"], ["b"], 3, 0) == 0.5
        assert partial(["a", "b"], [], 1, 1) == 0.5
        assert partial([], ["a"], 3, 0) == 0.0
        assert partial(["a"], [], 0, 0, difficulty=1) == 0.25
        assert partial(["a"], ["b"], 0, 0, test_weights={"a": 3.0}) == 0.75

    def test_weights_are_known_and_from_0_on(self) -> None:
        assert weights("swe", WEIGHTS, {"tests": 2})["tests"] == 2.0
        for wrong in ({"test": 1}, {"tests": -1}, {"tests": True}, {"tests": float("inf")}):
            with pytest.raises(Exception, match="tests"):
                weights("swe", WEIGHTS, wrong)
