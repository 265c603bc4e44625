"""What the shop's pages say, in both of upstream's ways: `text` on one line, `text_rich` with buttons marked.

A page is a list of pieces. Upstream renders HTML and reads its texts back; what that does to blank texts is kept.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from agentgym_envs.webshop.product import Product

MODES = ("text", "text_rich")
SUBPAGES = ("Description", "Features", "Reviews", "Attributes")
BACK, PREV, NEXT, BUY = "Back to Search", "< Prev", "Next >", "Buy Now"
SHOWN = 10
"""Products on a page of results."""
ASCII_BLANK = " \n\t\f\r"


class Piece(NamedTuple):
    """One text of a page."""

    text: str
    kind: str = ""
    """`button`, `option`, `product`; empty for what cannot be clicked."""


def search_page(instruction: str) -> list[Piece]:
    """Where an episode begins."""
    return [Piece("WebShop"), Piece("Instruction: "), Piece(instruction), Piece("Search", "button")]


def _head(instruction: str) -> list[Piece]:
    return [Piece("Instruction:"), Piece(instruction), Piece(BACK, "button")]


def results_page(instruction: str, products: Iterable[Product], page: int, total: int) -> list[Piece]:
    """Ten results; `page` counts from 1, `total` is the number of all."""
    pieces = [*_head(instruction), Piece(f"Page {page} (Total results: {total})")]
    if page > 1:
        pieces.append(Piece(PREV, "button"))
    pieces.append(Piece(NEXT, "button"))
    for product in products:
        pieces += [Piece(product.asin, "product"), Piece(product.title), Piece(product.tag)]
    return pieces


def item_page(instruction: str, product: Product, show_attributes: bool) -> list[Piece]:
    """A product, with its options to choose and the button to buy it."""
    pieces = [*_head(instruction), Piece(PREV, "button")]
    for name, values in product.options.items():
        pieces += [Piece(name), *(Piece(value, "option") for value in values)]
    pieces += [Piece(product.title), Piece(f"Price: {product.tag}"), Piece("Rating: N.A.")]
    pieces += [Piece(name, "button") for name in (SUBPAGES if show_attributes else SUBPAGES[:-1])]
    return [*pieces, Piece(BUY, "button")]


def sub_page(instruction: str, product: Product, name: str) -> list[Piece]:
    """One of a product's other pages. There are no reviews: upstream's text environment loads none."""
    pieces = [*_head(instruction), Piece(PREV, "button")]
    if name == "Description":
        pieces.append(Piece(product.description))
    elif name == "Features":
        pieces += [Piece(f" {line}") for line in product.bullets]
    elif name == "Attributes":
        pieces += [Piece(f" {one}") for one in product.attributes]
        pieces += [Piece(product.category), Piece(product.query), Piece(product.product_category)]
    return pieces


def score_page(asin: str, options: Mapping[str, str], reward: float) -> list[Piece]:
    """What upstream says after a purchase. The environment does not show it: it gives the reward away."""
    said = ["Thank you for shopping with us!", "Your code: ", "None", " (Paste it in your MTurk interface.)"]
    said += ["Purchased", "asin", asin, "options", json.dumps(options)]
    for name in ("attrs", "category", "query", "product category"):
        said += [name, "None"]
    said += ["Target", "asin", "options", "attrs", "price upper"]
    said += ["instuction text"]  # Misspelt upstream. codespell:ignore
    said += ["category", "product category", "query", "Goal ", "None", "Reward"]
    said += ["Your score (min 0.0, max 1.0)", str(reward), "Reward Details ", "None"]
    return [Piece(text) for text in said]


def render(pieces: Iterable[Piece], mode: str, chosen: str = "", visited: Collection[str] = ()) -> str:
    """A page as text.

    Args:
        pieces: of the page.
        mode: one of `MODES`.
        chosen: the chosen options as they stand in upstream's address, values in double quotes.
        visited: numbers of the products that were looked at.
    """
    seen = [piece for piece in map(_read_back, pieces) if piece.text not in ("", "\n")]
    if mode == "text":
        return " [SEP] ".join(piece.text.strip() for piece in seen)
    clicked, lines = "", list[str]()
    for text, kind in seen:
        if kind == "option" and f'"{text}"' in chosen:
            clicked = f"You have clicked {text}.\n{clicked}"
            lines.append(f"  [clicked button] {text} [clicked button_]")
        elif kind == "option":
            lines.append(f"  [button] {text} [button_]")
        elif kind == "product":
            word = "clicked button" if text in visited else "button"
            lines.append(f"\n[{word}] {text} [{word}_]")
        else:
            lines.append(f"[button] {text} [button_]" if kind == "button" else text)
    return clicked + "".join(f"{line}\n" for line in lines)


def _read_back(piece: Piece) -> Piece:
    """What is left of a text once it was HTML: one that is all blank becomes a line break or one space."""
    if piece.text and not piece.text.strip(ASCII_BLANK):
        return piece._replace(text="\n" if "\n" in piece.text else " ")
    return piece


def clickable(pieces: Sequence[Piece]) -> dict[str, Piece]:
    """What can be clicked, by its name in lower case, in upstream's order: buttons, products, then options. Of pieces
    with the same name, the last counts."""
    found = {p.text.lower(): p for kind in ("button", "product") for p in pieces if p.kind == kind}
    return found | {p.text: p for p in pieces if p.kind == "option"}
