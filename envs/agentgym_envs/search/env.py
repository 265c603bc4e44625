"""The game: a question, a collection of documents, and three things to do: search, open, answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from agentgym.env import TextEnv
from agentgym.errors import UnknownNameError, UsageError
from agentgym.retrieval import Passage
from agentgym.secrets import find
from agentgym.tools import guard
from agentgym.types import Observation, Step, Task
from agentgym_envs import weighing
from agentgym_envs.search import pages, rewards, sources
from agentgym_envs.search.actions import TOOLS, Call, parse
from agentgym_envs.search.answers import MATCHES, REFUSAL, exact, f1, refuses
from agentgym_envs.search.evidence import Evidence, State, canonical, key, reached

WORDS = 900
"""Characters of a search that the oracle makes."""
SPARE = 10
"""Further results that are asked for where some may not be shown."""
SIBLINGS = 8
"""Passages of one title that opening shows at most."""


class Search(TextEnv):
    """Actions: `search(words)`, `open(number, id or title)`, `answer(text [1][2])`; see `actions` for their forms.

    The outcome is the answer's score alone; what turns are paid is in `rewards`. What a retriever cannot do is an infra
    error, what a model cannot do is a fault, `invalid`, that changes nothing.
    """

    _state: State

    def __init__(
        self,
        top: int = 3,
        match: str = "em",
        form: str = "labels",
        snippet: int = 0,
        limit: int = 4000,
        retriever: str = "bm25",
        encoder: str = "",
        timeout: float = 30.0,
        token_env: str = "",
        token_file: str = "",
        weights: Mapping[str, Any] | None = None,
    ) -> None:
        """Args:
            top: how many documents a search shows, 1 to 50.
            match: how an answer is scored: `em`, `f1` or `cover`.
            form: how documents are shown: `labels`, or `information` (the published form; its dialect is
                `search-tags`).
            snippet: characters of a document that a search shows; 0: all, so that nothing has to be opened.
            limit: most characters of a document that are ever shown.
            retriever: `bm25`, `dense`, `hybrid`, or the address of a server: `http://host:8000/retrieve`.
            encoder: folder of a sentence encoder, for `dense` and `hybrid`.
            timeout: seconds that a server may take.
            token_env: name of the environment variable that has the server's token.
            token_file: file that has it.
            weights: of reward components, over the defaults (`rewards.WEIGHTS`).

        Raises:
            UsageError: a value that is not one of these.
        """
        super().__init__()
        for name, value, known in (("match", match, MATCHES), ("form", form, pages.FORMS)):
            if value not in known:
                raise UnknownNameError(f"{name} of search", str(value), known)
        for name, value, low, high in (("top", top, 1, 50), ("snippet", snippet, 0, 10**6), ("limit", limit, 1, 10**6)):
            if type(value) is not int or not low <= value <= high:
                raise UsageError(f"{name} must be a whole number from {low} to {high}, not {value!r}")
        self._top, self._match, self._form, self._snippet, self._limit = top, MATCHES[match], form, snippet, limit
        self._finder = sources.Finder(retriever, encoder, timeout, find(token_env, token_file, "retriever's token"))
        self._weights = weighing.weights("search", rewards.WEIGHTS, weights)

    def begin(self, task: Task, rng: np.random.Generator) -> Observation:
        """Task data: `source` (which data set), `question` (its fields), `withheld`, `answer`."""
        question = sources.question_of(task)
        self._corpus = sources.corpus_of(task)
        self._retriever = self._finder.over(self._corpus)
        self._question, self._withheld = question, bool(task.data.get("withheld"))
        self._evidence = Evidence(question, self._withheld)
        self._answers = (REFUSAL,) if self._evidence.missing else question.answers
        self._state = State()
        return self._look(f"Question: {guard(' '.join(question.text.split()))}")

    def act(self, action: str) -> Step:
        """Play the calls of one action, in order."""
        calls = parse(action)
        if isinstance(calls, str):
            return self._wrong(calls)
        shown: list[pages.Shown] = []
        raw = dict.fromkeys(self._weights, 0.0)
        before = len(self._evidence.found(self._state))
        for call in calls:
            if call.verb == "answer":
                self._state = self._state._replace(said=call.text, cited=call.citations)
            elif call.verb == "search":
                shown += self._search(call.text, raw)
            else:
                found = self._open_document(call.text, raw)
                if not found and len(calls) == 1:
                    return self._wrong(f"there is no document {call.text[:80]!r}; open one by its number or its title")
                shown += found
        new = len(self._evidence.found(self._state)) - before
        raw["evidence"] = new / len(self._evidence.support) if new else 0.0
        return self._told(calls, shown, raw)

    def oracle(self) -> str | None:
        """Search for what the answer rests on, in the order of the hops, and open what no search finds; then answer.

        Where the evidence is missing: what there is of it, the search that should find the rest, and to decline.
        """
        question, state, missing = self._question, self._state, self._evidence.missing
        read = {state.documents[i].id for i in state.read}
        support = [id for id in question.support if not self._out_of_reach(id)]
        for hop, id in enumerate(support):
            if id not in read:
                return self._towards(id, question.queries[hop] if hop < len(question.queries) else "")
        further = question.queries[len(support) : len(support) + 1] if missing else ()
        last = further[0] if further else question.text
        if (missing or not support) and canonical(last[:WORDS]) not in state.queries:
            return _search(last)
        if missing:
            return f"answer({REFUSAL})"
        numbers = {one.id: n for n, one in enumerate(state.documents, 1)}
        named = [numbers[id] for id in dict.fromkeys(support)]
        if question.answers[0].rstrip().endswith("]"):
            return json.dumps({"arguments": {"citations": named, "text": question.answers[0]}, "name": "answer"})
        return f"answer({question.answers[0]}{''.join(f' [{number}]' for number in named)})"

    def snapshot(self) -> Any:
        """The state as plain values."""
        state = self._state
        return {**state._asdict(), "documents": tuple((one.id, one.title, one.text) for one in state.documents)}

    def restore(self, snapshot: Any) -> Observation:
        """Back to a snapshot of the same task; the episode is open again."""
        documents = tuple(Passage(*one) for one in snapshot["documents"])
        self._state = State(**{**snapshot, "documents": documents})
        self._open = True
        return self._look("")

    def close(self) -> None:
        """Close connections."""
        self._finder.close()
        super().close()

    def _out_of_reach(self, id: str) -> bool:
        """Whether a passage of the support is withheld."""
        row = self._corpus.row(id) if self._withheld and self._corpus is not None else -1
        return row >= 0 and self._corpus is not None and self._evidence.hidden(self._corpus[row], True)

    def _towards(self, id: str, query: str) -> str:
        """The next try to get at a passage: what is known to find it, its title, then its id."""
        place = self._corpus.row(id) if self._corpus is not None else -1
        title = self._corpus[place].title if self._corpus is not None and place >= 0 else ""
        for words in (query, title):
            if words.strip() and canonical(words[:WORDS]) not in self._state.queries:
                return _search(words)
        shown = [n for n, one in enumerate(self._state.documents, 1) if one.id == id]
        return f"open({shown[0] if shown else ' '.join(id.split())})"

    def _search(self, query: str, raw: dict[str, float]) -> list[pages.Shown]:
        asked = self._top + (SPARE if self._withheld else 0)
        hits = self._retriever.search([query], asked)[0]
        passages = [hit.passage for hit in hits if not self._evidence.hidden(hit.passage, self._withheld)][: self._top]
        state, name = self._state, canonical(query)
        known = {one.id for one in state.documents}
        again = name in state.queries or (bool(passages) and all(one.id in known for one in passages))
        if again:
            raw["redundancy"] -= 1.0
        raw["cost"] -= 1.0
        queries = state.queries if name in state.queries else (*state.queries, name)
        self._state = state._replace(
            queries=queries, searches=state.searches + 1, redundant=state.redundant + int(again)
        )
        return self._show(passages, self._snippet)

    def _open_document(self, name: str, raw: dict[str, float]) -> list[pages.Shown]:
        """A document by its number, id or title, and others of the same title after it; nothing where there is none."""
        passages = [one for one in self._named(name) if not self._evidence.hidden(one, self._withheld)]
        if passages:
            raw["cost"] -= 1.0
            self._state = self._state._replace(opens=self._state.opens + 1)
        return self._show(passages[:SIBLINGS], 0)

    def _named(self, name: str) -> list[Passage]:
        documents, corpus = self._state.documents, self._corpus
        digits = name.lstrip("#").strip("[] ")
        if digits.isascii() and digits.isdigit() and len(digits) < 10 and 0 < int(digits) <= len(documents):
            first: Passage | None = documents[int(digits) - 1]
        elif corpus is not None:
            first = corpus.find(name)
        else:
            first = next((one for one in documents if name in (one.id, one.title)), None)
        if first is None:
            return []
        if corpus is None or not first.title:
            return [first]
        others = (corpus[row] for row in corpus.titled(first.title, SIBLINGS))
        return [first, *(one for one in others if one.id != first.id)]

    def _show(self, passages: Sequence[Passage], most: int) -> list[pages.Shown]:
        """Number the passages, and note which of them are read."""
        documents, read = list(self._state.documents), list(self._state.read)
        place = {one.id: i for i, one in enumerate(documents)}
        shown: list[pages.Shown] = []
        limit = min(most or self._limit, self._limit)
        for passage in passages:
            index = place.setdefault(passage.id, len(documents))
            if index == len(documents):
                documents.append(passage)
            # What the limit cuts off nobody can read: as much as can be shown counts as all of it.
            whole = limit == self._limit or pages.clip(passage.text, limit)[1]
            if whole and index not in read:
                read.append(index)
            shown.append(pages.Shown(index + 1, documents[index], limit))
        state = self._state._replace(documents=tuple(documents), read=tuple(read))
        if state.enough < 0 and self._evidence.enough(state):
            state = state._replace(enough=state.looks)
        self._state = state
        return shown

    def _told(self, calls: list[Call], shown: list[pages.Shown], raw: dict[str, float]) -> Step:
        state = self._state
        score = em = 0.0
        if state.said is not None:
            em = self._right(exact)
            score = self._right(self._match)
            raw["answer"], raw["citation"] = score, self._evidence.cited(state)["f1"]
        info = self._info(calls, raw, score, em)
        if state.said is None:
            return Step.on(self._look(pages.page(shown, self._form)), **info)
        told = self._look("The answer is taken.")
        return Step.success(told, **info) if score >= 1.0 else Step.failure(told, **info)

    def _right(self, match: Any) -> float:
        """The score of the answer; to decline is right where the evidence is missing, however it is worded."""
        said = self._state.said or ""
        if self._evidence.missing:
            return float(refuses(said))
        return float(match(said, self._answers))

    def _wrong(self, reason: str) -> Step:
        said = pages.say(guard(f"This cannot be done: {reason}."), self._form)
        return Step.fault(self._look(said), "invalid", detail=reason, **self._info([], {"format": -1.0}, 0.0, 0.0))

    def _info(self, calls: list[Call], raw: Mapping[str, float], score: float, em: float) -> dict[str, Any]:
        paid = weighing.weighed(raw, self._weights)
        done = self._state.said is not None and score >= 1.0
        found = self._evidence.found(self._state)
        tests = {f"hop {n}": id in found for n, id in enumerate(self._question.support, 1)}
        return {
            "reward": sum(paid.values()),
            "rewards": paid,
            "calls": [call.canonical() for call in calls],
            "progress": 1.0 if done else reached(self._question, found),
            "tests": {**tests, "answer": done},
            "outcome": score,
            "search": self._evidence.report(self._state, score, em, self._right(f1)),
        }

    def _look(self, said: str) -> Observation:
        return Observation(text=said, state=key(self.task.id if self.task else "", self._state), tools=TOOLS)


def _search(words: str) -> str:
    """A search for the words, on one line."""
    return f"search({' '.join(words[:WORDS].split())})"
