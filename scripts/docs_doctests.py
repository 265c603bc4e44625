"""A griffe extension for the docs site: examples in docstrings (`>>>`) are code, wherever in the text they stand.

In Markdown `>>>` is a quotation in a quotation in a quotation; griffe itself looks for examples in `Examples:` only.
"""

from __future__ import annotations

from typing import Any

import griffe


def fenced(text: str) -> str:
    """Put a fence around every example: from a line that begins with `>>>` to the next empty one.

    >>> print(fenced("Adds.\\n\\n>>> 1 + 1\\n2\\n\\nNothing more."))
    Adds.
    <BLANKLINE>
    ```pycon
    >>> 1 + 1
    2
    ```
    <BLANKLINE>
    Nothing more.
    """
    out: list[str] = []
    indent: str | None = None
    for line in text.split("\n"):
        begins = line.lstrip().startswith(">>>")
        if begins and indent is None:
            indent = line[: len(line) - len(line.lstrip())]
            out.append(f"{indent}```pycon")
        elif indent is not None and not line.strip():
            out.append(f"{indent}```")
            indent = None
        out.append(line)
    if indent is not None:
        out.append(f"{indent}```")
    return "\n".join(out)


class Doctests(griffe.Extension):
    """Fences the examples of every docstring."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Change one object's docstring, before it is parsed."""
        if obj.docstring is not None and ">>>" in obj.docstring.value and "Examples:" not in obj.docstring.value:
            obj.docstring.value = fenced(obj.docstring.value)
