"""Which words of a title are nouns: what the type of a product is compared by.

Upstream asks spaCy's small English model. The built-in tagger needs no model: titles are strings of nouns, so every
word counts but for those of closed classes, numbers, and adjectives in lower case that it knows by a list or by their
ending. It is another tagger and counts other words now and then; `spacy` gives upstream's own where that is installed.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, cast

from agentgym import registry
from agentgym.errors import UsageError

Tagger = Callable[[str], tuple[str, ...]]
"""From a title to its nouns in lower case, in order, repeated as in the title."""
MODEL = "en_core_web_sm"
WORD = re.compile(r"[^\W_]+(?:['’.-][^\W_]+)*")
_CLOSED = """
a an the this that these those my your his her its our their for with without of in on at by to from as into over
under per via and or nor but not no so if than then when while is are was were be been being am do does did has have
had can could will would may might must shall should i you he she it we they me him them us who which what all any
both each every few more most other some such very too just only also out up off down again about one
two three four five six seven eight nine ten
"""
CLOSED = frozenset(_CLOSED.split())
_ADJECTIVES = """
big small large long short wide narrow tall low high new old good best great fine soft hard thick thin light heavy
fast quick slow easy hot cold cool warm dry wet clean fresh pure rich full empty deep flat round square double single
dual triple extra ultra super mini compact portable lightweight heavyweight casual formal modern classic vintage
everyday daily simple basic plain premium natural organic synthetic digital electric electronic automatic manual
wireless wired waterproof durable stretchy elegant slim sexy cute funny happy cozy comfy sturdy solid real stainless
universal compatible professional commercial personal multiple various perfect ideal essential busy
"""
ADJECTIVES = frozenset(_ADJECTIVES.split())
ENDINGS = ("able", "ible", "ful", "less", "ous", "proof", "resistant", "friendly")
THINGS = frozenset({"table", "cable", "vegetable", "timetable", "bible", "handful", "spoonful"})
"""Nouns that end as adjectives do."""
AFTER_PLURAL = frozenset({"free", "only", "ready", "safe"})
"""Adjectives that follow a noun in the plural ("hands free"); after a singular they stand in names ("Nut Free")."""


@functools.lru_cache(maxsize=1 << 16)
def light(title: str) -> tuple[str, ...]:
    """The built-in tagger.

    >>> light("Brisa Granola Bars Nut Free, for everyday use (12 Ounce)")
    ('brisa', 'granola', 'bars', 'nut', 'free', 'use', 'ounce')
    """
    nouns: list[str] = []
    before = ""
    for written in WORD.findall(title):
        word = written.lower()
        after_plural = word in AFTER_PLURAL and before.endswith("s") and not before.endswith("ss")
        # With a capital an adjective stands in a name ("Solid Wood").
        adjective = written == word and (word in ADJECTIVES or (word.endswith(ENDINGS) and word not in THINGS))
        if not (word in CLOSED or adjective or after_plural or word[0].isdigit()):
            nouns.append(word)
        before = word
    return tuple(nouns)


def spacy() -> Tagger:
    """Upstream's tagger.

    Raises:
        UsageError: spaCy or its model is not installed.
    """
    if find_spec("spacy") is None or find_spec(MODEL) is None:
        raise UsageError(
            f"the tagger 'spacy' needs spaCy and its model: pip install spacy && python -m spacy download {MODEL}"
        )
    import spacy as library

    model: Any = library.load(MODEL, disable=["parser", "ner", "lemmatizer"])

    @functools.lru_cache(maxsize=1 << 16)
    def tag(title: str) -> tuple[str, ...]:
        return tuple(token.text.lower() for token in model(title) if token.pos_ in ("NOUN", "PROPN"))

    return tag


@functools.cache
def tagger(name: str) -> Tagger:
    """A tagger by name.

    Args:
        name: `light`, `spacy`, or a function as `module:function` or `./file.py:function`.

    Raises:
        UsageError: there is none of that name, or it cannot be loaded.
    """
    if name in ("light", "spacy"):
        return light if name == "light" else spacy()
    if ":" not in name:
        raise UsageError(f"tagger must be 'light', 'spacy' or 'module:function', not {name!r}")
    found = cast(Any, registry.resolve(name))
    if not callable(found):
        raise UsageError(f"tagger {name!r} is no function")
    # A tagger from elsewhere may give any sequence.
    return lambda title: tuple(cast(Any, found)(title))
