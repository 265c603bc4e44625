"""The words of a game: each game file carries the grammar that its texts are made by, and it is followed here.

Upstream evaluates the grammar's expressions as Python. A game file is somebody else's data: here only what its
expressions are made of is understood, names of things and quoted words, joined by `+` and `or`.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from agentgym.errors import UsageError
from agentgym_envs.alfworld.facts import Atom, Binding, Facts

DEEPEST = 30
"""Rules within rules; the known grammars have four."""
MOST_RULES = 10_000
"""Rules that one text uses; the longest of real games uses about 150."""
BLOCK = re.compile(r'grammar\s*::\s*"""(.*?)"""', re.DOTALL)
ACTION = re.compile(r'action\s+(\w+)\s*\{\s*template\s*::\s*"([^"]*)";\s*feedback\s*::\s*"#([^"#]*)#";')
CONDITION = re.compile(r"\s*(\w+)\s*\(([^()]*)\)\s*")
WORD = re.compile(r"\s*(?:(\w+)(?:\.(\w+))?|'([^']*)'|(\+))\s*")
PIECE = re.compile(r"#([^#]+)#|\{([^{}]*)\}|\[\{([^{}]*)\}\]|([^#{}\[\]]+|[\[\]{}#])")


class Name(NamedTuple):
    """What a thing is called."""

    id: str
    name: str
    indefinite: str = "a"


class Rule(NamedTuple):
    """A sentence and when it is used; the first rule whose condition holds is."""

    condition: str
    text: str


class Template(NamedTuple):
    """How an action is asked for, and the rule that tells of it."""

    command: str
    feedback: str


class _Part(NamedTuple):
    """A piece of a sentence: words, a rule's name, or an expression for each answer to a question."""

    kind: str
    value: Any
    given: tuple[Atom, ...] = ()


class Grammar:
    """Rules by name and templates by action (lower case). Immutable: attempts and threads share it."""

    def __init__(self, rules: Mapping[str, Sequence[Rule]], actions: Mapping[str, Template]) -> None:
        self.rules, self.actions = rules, actions

    @classmethod
    def parse(cls, text: str) -> Grammar:
        """Read a grammar.

        Raises:
            UsageError: it has no such form, or a sentence that cannot be understood.
        """
        rules: dict[str, list[Rule]] = {}
        for block in BLOCK.findall(text):
            lines = [line for line in block.split("\n") if not line.lstrip().startswith("#")]
            try:
                found = json.loads("\n".join(lines))
                for name, given in found.items():
                    rules[name] = [Rule(str(one.get("condition") or ""), str(one["rhs"])) for one in given]
            except (ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
                raise UsageError(f"the grammar has a block that is not understood: {error}") from error
        actions = {m[1].lower(): Template(m[2], m[3]) for m in ACTION.finditer(text)}
        grammar = cls(rules, actions)
        for name in ("intro", "task", "look.feedback"):
            if name not in rules:
                raise UsageError(f"the grammar has no rule {name!r}")
        if "gotolocation" not in actions:
            raise UsageError("the grammar has no action GotoLocation")
        return grammar

    def tell(self, rule: str, facts: Facts, names: Sequence[Name], bound: Binding) -> str:
        """The sentence of a rule.

        Args:
            rule: its name.
            facts: what holds.
            names: what things are called, by number.
            bound: what the rule's variables stand for.

        Raises:
            UsageError: the grammar has no such rule, or rules that contain each other.
        """
        telling = _Telling(self, facts, names)
        telling.rule(rule, bound, 0)
        return "".join(telling.said)

    def command(self, action: str, facts: Facts, names: Sequence[Name], bound: Binding) -> str:
        """The words that ask for an action."""
        telling = _Telling(self, facts, names)
        telling.say(_parts(self.actions[action].command), bound, 0)
        return "".join(telling.said)


class _Telling:
    """One text in the making."""

    def __init__(self, grammar: Grammar, facts: Facts, names: Sequence[Name]) -> None:
        self._grammar, self._facts, self._names = grammar, facts, names
        self.said: list[str] = []
        self._left = MOST_RULES

    def rule(self, name: str, bound: Binding, depth: int) -> None:
        """Say the first sentence of a rule whose condition holds."""
        self._left -= 1
        if depth > DEEPEST or self._left < 0:
            raise UsageError(f"the grammar's rule {name!r} does not come to an end")
        for condition, text in self._grammar.rules.get(name, ()):
            if not condition or next(self._facts.answers(_atoms(condition), bound), None) is not None:
                self.say(_parts(text), bound, depth)
                return
        raise UsageError(f"the grammar has no rule {name!r} that applies")

    def say(self, parts: Sequence[_Part], bound: Binding, depth: int) -> None:
        """Say the pieces of a sentence."""
        for part in parts:
            if part.kind == "words":
                self.said.append(part.value)
            elif part.kind == "rule":
                self.rule(part.value, bound, depth + 1)
            else:
                self._each(part, bound, depth)

    def _each(self, part: _Part, bound: Binding, depth: int) -> None:
        """An expression for each answer; as a list with what belongs between, or for nothing at all."""
        answers = list(self._facts.answers(part.given, bound)) if part.given else [bound]
        if part.kind == "list" and not answers:
            self.rule("list_empty", bound, depth + 1)
        for number, answer in enumerate(answers):
            if part.kind == "list" and number:
                last = number == len(answers) - 1
                self.rule("list_last_separator" if last else "list_separator", bound, depth + 1)
            if isinstance(part.value, str):
                self.rule(part.value, answer, depth + 1)
            else:
                self.said.append(_value(part.value, self._names, answer))


def _value(words: tuple[tuple[str, str, str], ...], names: Sequence[Name], bound: Binding) -> str:
    """The value of an expression; of `a or b` the first that is not empty."""
    said = ""
    for variable, field, quoted in words:
        if variable == "or":
            if said:
                return said
            continue
        if not variable:
            said += quoted
            continue
        thing = bound.get(variable)
        if thing is None:
            raise UsageError(f"the grammar speaks of {variable!r}, which stands for nothing")
        said += getattr(names[thing], field or "name")
    return said


@functools.lru_cache(maxsize=4096)
def _parts(text: str) -> tuple[_Part, ...]:
    """A sentence in pieces. Upstream's parser skips white space where a sentence begins."""
    found: list[_Part] = []
    for match in PIECE.finditer(text.lstrip()):
        rule, each, listed, words = match.groups()
        if rule is not None:
            found.append(_Part("rule", rule.strip()))
        elif words is not None:
            found.append(_Part("words", words))
        else:
            found.append(_expression("list" if each is None else "each", listed if each is None else each))
    return tuple(found)


def _expression(kind: str, text: str) -> _Part:
    expression, _, given = text.partition("|")
    atoms = _atoms(given) if given.strip() else ()
    rule = re.fullmatch(r"\s*#([^#]+)#\s*", expression)
    if rule is not None:
        return _Part(kind, re.sub(r"\s+", " ", rule[1]), atoms)
    words: list[tuple[str, str, str]] = []
    place = 0
    while place < len(expression):
        match = WORD.match(expression, place)
        if match is None or (match[2] is not None and match[2] not in Name._fields):
            raise UsageError(f"the grammar has an expression that is not understood: {expression.strip()[:80]!r}")
        if match[4] is None:
            words.append((match[1] or "", match[2] or "", match[3] or ""))
        place = match.end()
    return _Part(kind, tuple(words), atoms)


@functools.lru_cache(maxsize=4096)
def _atoms(text: str) -> tuple[Atom, ...]:
    """Conditions joined by `&`; the types of their variables are left out."""
    found: list[Atom] = []
    for part in text.split("&"):
        match = CONDITION.fullmatch(part)
        if match is None:
            raise UsageError(f"the grammar has a condition that is not understood: {text.strip()[:80]!r}")
        variables = [one.partition(":")[0].strip() for one in match[2].split(",")]
        found.append(Atom(match[1].lower(), tuple(variables)))
    return tuple(found)
