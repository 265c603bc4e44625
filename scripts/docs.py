"""Hooks of the docs site (see mkdocs.yml): pages that would grow stale are written while it is built.

Made here and kept nowhere: a page for each environment (`scripts/docs_envs.py`), the API reference with one page for
each public module, the options of the command line, and copies of files that live elsewhere in the repository (decision
records, SECURITY.md, ...). Links between files of the repository become links between pages.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import docs_envs
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
LAYERS = {
    "Base": "types errors seeding registry config entries cache gate loop_thread secrets",
    "World": "env tasks tools dialects retrieval sandbox limits check gym",
    "Act": "policy ledger host rollout models",
    "Learn": "credit lab batch loss attention attention_flex head optim learner checkpoint scorers select integrations "
    "asynchrony",
    "Operate": "",
}
"""Public modules by layer; what stands nowhere is of the last one."""
COPIES = {
    "SECURITY.md": "security.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changes.md",
}
"""Files of the repository that are pages of the site."""
LATER = "---\nsearch:\n  boost: 0.5\n---\n\n"
"""Search finds what the guide says first, and these pages after it."""
SOURCES: dict[str, Path] = {}
"""Where the text of a made page comes from: its links are meant from there."""


def modules() -> dict[str, list[str]]:
    """Public modules and packages of the library by layer. The command line has a page of its own."""
    there = {p.stem for p in (ROOT / "agentgym").iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    there = {name for name in there if not name.startswith("_")} - {"cli"}
    found = {layer: [name for name in names.split() if name in there] for layer, names in LAYERS.items()}
    known = {name for names in found.values() for name in names}
    found["Operate"] += sorted(there - known)
    return found


def made() -> dict[str, tuple[str, Path | None]]:
    """Every made page: address to text and source."""
    found: dict[str, tuple[str, Path | None]] = {}
    for address, text, source in docs_envs.pages():
        found[address] = (text, source)
    for layer, names in modules().items():
        for name in names:
            text = f"{LATER}# agentgym.{name}\n\n*Layer: {layer.lower()}*\n\n::: agentgym.{name}\n"
            found[f"reference/{name}.md"] = (text, None)
    found["reference/index.md"] = (reference(), None)
    found["reference/cli.md"] = (command_line(), None)
    for file in sorted((ROOT / "design").glob("[0-9]*.md")):
        found[f"design/{file.name}"] = (LATER + file.read_text(encoding="utf-8"), file)
    for name, address in COPIES.items():
        if (ROOT / name).exists():
            found[address] = ((ROOT / name).read_text(encoding="utf-8"), ROOT / name)
    return found


def reference() -> str:
    """The first page of the API reference: every module with what it is for, in the words of its docstring."""
    out = [
        "# API reference\n\nFrom the docstrings. A module imports only from its own layer, or from one that stands "
        "above it in this list."
    ]
    for layer, names in modules().items():
        out.append(f"\n## {layer}\n\n| module | |\n|---|---|")
        out += [f"| [`agentgym.{name}`]({name}.md) | {_first_line(name)} |" for name in names]
    return "\n".join(out) + "\n"


def _first_line(name: str) -> str:
    import ast

    path = ROOT / "agentgym" / f"{name}.py"
    tree = ast.parse((path if path.exists() else path.with_suffix("") / "__init__.py").read_text(encoding="utf-8"))
    paragraph = (ast.get_docstring(tree) or "").partition("\n\n")[0].replace("\n", " ")
    return paragraph.replace("|", "\\|")


def command_line() -> str:
    """Every command and option, as `--help` tells it."""
    from agentgym.cli import app

    text: str = app.generate_docs(output_format="markdown", include_hidden=False, heading_level=1)
    text = re.sub(r"^## Table of Contents\n.*?(?=^\*\*Commands)", "", text, count=1, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"\A# .*", "# Command line", text, count=1)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill in what the navigation leaves to this script: entries that are a folder."""
    SOURCES.clear()
    config.nav = [_filled(entry) for entry in config.nav or []]
    return config


def _filled(entry: Any) -> Any:
    if isinstance(entry, str):
        return entry
    ((title, value),) = entry.items()
    if isinstance(value, list):
        return {title: [_filled(each) for each in value]}
    folders = {"environments/": _environments, "cards/": _cards, "design/": _decisions, "reference/": _modules}
    return {title: folders[value]() if value in folders else value}


def _environments() -> list[Any]:
    out: list[Any] = []
    for source, specs in sorted(docs_envs.families().items(), key=lambda family: family[0].parent.name):
        ids = [{env.id: f"environments/{env.id}.md"} for env in specs]
        family = source.parent.name
        out.append({family: [{"the family": f"environments/{family}.md"}, *ids]} if len(ids) > 1 else ids[0])
    return out


def _cards() -> list[Any]:
    return [{p.stem: f"cards/{p.name}"} for p in sorted((ROOT / "docs/cards").glob("*.md")) if p.stem != "learning"]


def _decisions() -> list[Any]:
    return [{p.stem[4:].replace("-", " "): f"design/{p.name}"} for p in sorted((ROOT / "design").glob("[0-9]*.md"))]


def _modules() -> list[Any]:
    layers = {layer: [{name: f"reference/{name}.md"} for name in names] for layer, names in modules().items()}
    return ["reference/index.md", *({layer: pages} for layer, pages in layers.items())]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the made pages."""
    for address, (text, source) in made().items():
        files.append(File.generated(config, address, content=text))
        if source is not None:
            SOURCES[address] = source
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links to files of the repository lead to their pages; where there is none, leave the words alone."""
    address = page.file.src_uri
    source = SOURCES.get(address, ROOT / "docs" / address)
    pages = {ROOT / "docs" / file.src_uri: file.src_uri for file in files}
    for made_page, origin in SOURCES.items():
        pages.setdefault(origin, made_page)

    def link(match: re.Match[str]) -> str:
        words, target, anchor = match[1], match[2], match[3] or ""
        path = (source.parent / target).resolve()
        if "://" in target or not path.exists() or path not in pages:
            # Made pages have no file, and their links are right as they are.
            return f"[{words}]({target}{anchor})" if not path.exists() or "://" in target else words
        up = "../" * address.count("/")
        return f"[{words}]({up}{pages[path]}{anchor})"

    return re.sub(r"(?<!!)\[([^\]\n]+)\]\(([^)#\s]+)(#[^)\s]*)?\)", link, markdown)
