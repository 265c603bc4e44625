"""The user: answers a question if it is about what the request leaves out, and takes a refusal for one.

Scripted and forgiving: it looks for words, not for grammar, so that any way to ask or to decline counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MOST_QUESTIONS = 3
"""Questions that are answered; a message with one more is taken as the last."""
UNKNOWING = "I have told you what I want. Ask me again if there is something that only I know."
DECLINING = re.compile(
    r"\b(?:can ?not|(?:can|could)['\u2019 n]{0,2}t|could not|unable|not able|(?:im|not )possible"
    r"|no (?:such )?(?:tool|function|way))\b",
    re.IGNORECASE,
)

KINDS = tuple(
    re.compile(pattern, re.ASCII)
    for pattern in (
        r"(?<![\w.:@-])\d\d?:\d\d(?![\w:])",
        r"(?<![\w.:@-])\d+(?![\w:]|[.,-]\w)",
        r"@\w+",
        r"\b(?:monday|tuesday|wednesday|thursday|friday)\b",
        r"(?s:.+)",
    )
)
"""What an answer can be: a time, a whole number, a handle, a day; anything else must be the whole message."""
THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))", re.ASCII)


class User:
    """Back end without tools: what the user knows, and what has been asked."""

    def __init__(self, fact: Mapping[str, Any] | None) -> None:
        """Args: `fact` with `topics` and `reply`: what only the user knows; `None` for nothing."""
        self.topics: list[str] = [str(topic).lower() for topic in fact["topics"]] if fact else []
        self.reply_text = str(fact["reply"]) if fact else ""
        self.told = False
        """Whether the fact has been told."""
        self.questions = 0

    def asked(self, message: str) -> str | None:
        """The answer to a message; `None` if it is no question, or one too many.

        A question has a question mark; it gets the fact if it has one of its topics.
        """
        if "?" not in message or self.questions >= MOST_QUESTIONS:
            return None
        self.questions += 1
        if not any(topic in message.lower() for topic in self.topics):
            return UNKNOWING
        self.told = True
        return self.reply_text


def says(message: str, answer: str) -> bool:
    """Whether a message gives the answer, and no other that could be it: to name all days of the week is no answer.

    Words of the answer's kind (numbers, times, days, handles) must all be the answer; other words may stand around it.

    >>> says("It has 1,050 euros.", "1050"), says("It has 10, 20 or 30 euros.", "20"), says("On tuesday.", "Tuesday")
    (True, False, True)
    """
    kind = next(kind for kind in KINDS if kind.fullmatch(answer.lower()))
    plain = THOUSANDS.sub("", message.lower())
    return {found[0] for found in kind.finditer(plain)} == {answer.lower()}


def declines(message: str, told: str = "") -> bool:
    """Whether a message says that something cannot be done, in words of its own: sentences of what the model was `told`
    (to say that it cannot) say nothing.

    >>> declines("Sorry, I can't do that."), declines("Done."), declines("There is no tool for it.")
    (True, False, True)
    >>> declines("Say it if you cannot.", "Be brief. Say it if you cannot.")
    False
    """
    for sentence in re.split(r"(?<=[.!?])\s+", told):
        if sentence:
            message = message.replace(sentence, " ")
    return DECLINING.search(message) is not None
