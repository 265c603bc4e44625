"""The page's files: as the server hands them out, and as one file that holds everything.

Scripts run only where a policy names them: the page's own files, and in the one file those whose hash it has.
"""

from __future__ import annotations

import base64
import hashlib
import re
from importlib import resources
from typing import Any

from agentgym.errors import StoreError
from agentgym.records import dumps

KINDS = {
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
    "LICENSE": "text/plain; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,80}")
SCRIPT = re.compile(r"<script(?P<attributes>[^>]*)>(?P<body>.*?)</script>", re.DOTALL)
STYLE = re.compile(r"<style[^>]*>(.*?)</style>", re.DOTALL)
LINKED = re.compile(r'<link rel="stylesheet" href="page/([^"]+)">')
SOURCED = re.compile(r'<script src="page/([^"]+)"></script>')


def _read(name: str) -> bytes | None:
    found = resources.files("agentgym.view").joinpath("page", name)
    return found.read_bytes() if found.is_file() else None


def index() -> str:
    """The page's own markup.

    Raises:
        StoreError: the installation lacks it.
    """
    found = _read("index.html")
    if found is None:
        raise StoreError("this installation lacks the page (agentgym/view/page/index.html)")
    return found.decode("utf-8")


def file(name: str) -> tuple[bytes, str] | None:
    """A file of the page and what kind it is; `None` where there is none."""
    kind = KINDS.get(name.rpartition(".")[2])
    found = _read(name) if kind is not None and NAME.fullmatch(name) else None
    return None if found is None or kind is None else (found, kind)


def live() -> tuple[str, dict[str, str]]:
    """The page for the server, and the header that says what it may do."""
    html = index()
    scripts = " ".join(["'self'", *(_hash(found["body"]) for found in SCRIPT.finditer(html) if found["body"].strip())])
    styles = " ".join(["'self'", *(_hash(body) for body in STYLE.findall(html))])
    policy = (
        f"default-src 'none'; script-src {scripts}; style-src {styles}; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return html, {"Content-Security-Policy": policy}


def whole(data: Any) -> str:
    """The page as one file with data in it, which loads nothing.

    `<`, `>` and `&` are escaped in the JSON, so nothing in it can end the element that holds it or begin another.

    Raises:
        StoreError: the installation lacks a file of the page.
    """
    html = LINKED.sub(lambda found: f"<style>{_part(found[1], '</style')}</style>", index())
    html = SOURCED.sub(lambda found: f"<script>{_part(found[1], '</script')}</script>", html)
    scripts = " ".join(_hash(found["body"]) for found in SCRIPT.finditer(html))
    styles = " ".join(_hash(body) for body in STYLE.findall(html)) or "'none'"
    policy = (
        f"default-src 'none'; script-src {scripts}; style-src {styles}; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    html = html.replace("<head>", f"<head>\n{meta}", 1)
    embedded = dumps(data).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    first = html.find("<script")
    if first < 0:
        raise StoreError("the page has no script: this installation is damaged")
    # The data goes in last: nothing that stands in it is looked at again.
    return f'{html[:first]}<script type="application/json" id="data">{embedded}</script>\n{html[first:]}'


def _part(name: str, end: str) -> str:
    found = file(name)
    if found is None:
        raise StoreError(f"this installation lacks a file of the page (agentgym/view/page/{name})")
    text = found[0].decode("utf-8")
    if end in text.lower():
        raise StoreError(f"agentgym/view/page/{name} has {end!r} in it: it cannot stand inside the page")
    return text


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"
