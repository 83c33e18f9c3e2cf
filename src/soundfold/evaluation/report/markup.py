"""HTML elements from plain text. Text is escaped unless it is markup already: forgetting it shows, and does no harm."""

import html
import unicodedata
from collections.abc import Iterable, Sequence
from typing import TypeAlias

__all__ = ["Child", "Html", "bare", "element", "facts", "join", "name", "section", "table"]


class Html(str):
    """Text that is markup, and is put into a page as it is. Made by the functions here alone."""

    __slots__ = ()


Child: TypeAlias = str | Html | None
_VOID = frozenset({"circle", "image", "line", "polyline", "rect"})
_OVERRIDES = "\u202d\u202e"  # these show text in another order than it has


def bare(text: object) -> str:
    """Return text as a page can hold it: lone surrogates as `\\\\udcff`, and � for what controls a screen.

    >>> bare("a\\x00b")
    'a�b'
    """
    plain = str(text).encode("utf-8", "backslashreplace").decode()
    return "".join(
        "�" if (unicodedata.category(sign) == "Cc" and sign not in "\n\t") or sign in _OVERRIDES else sign
        for sign in plain
    )


def element(tag: str, *children: Child, **attributes: object) -> Html:
    """Return an element; children that are no `Html` are escaped, and so is every attribute.

    Args:
        tag: its name.
        children: what is in it; None is left out.
        attributes: a trailing underscore is dropped and others become hyphens; None leaves one out, True leaves its
            value out.

    >>> element("b", "<script>", class_="x")
    '<b class="x">&lt;script&gt;</b>'
    """
    told = "".join(
        f" {_attribute(key)}" + ("" if value is True else f'="{html.escape(bare(value))}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if tag in _VOID and not children:
        return Html(f"<{tag}{told}/>")
    return Html(f"<{tag}{told}>{join(*children)}</{tag}>")


def join(*children: Child) -> Html:
    """Return children one after another; those that are no `Html` are escaped."""
    return Html("".join(_escaped(child) for child in children if child is not None))


def name(text: object, **attributes: object) -> Html:
    """Return what a user named (a label, a path), kept from turning the text around it to the other direction."""
    return element("bdi", str(text), **attributes)


def section(title: str, *children: Child, id_: str, level: int = 2) -> Html:
    """Return a section under a heading."""
    heading = element(f"h{level}", title, id=f"{id_}-title")
    return element("section", heading, *children, id=id_, aria_labelledby=f"{id_}-title")


def table(
    heads: Sequence[Child], rows: Iterable[Sequence[Child]], *, caption: str, class_: str = "", texts: int = 1
) -> Html:
    """Return a table: a head a column, the first cell of a row its head, numbers to the right.

    Args:
        heads: the columns' heads.
        rows: cells, as many as heads.
        caption: what it shows, for those who hear the page.
        class_: further classes.
        texts: so many columns from the left hold text; the others hold numbers.
    """
    kinds = ["text" if k < texts else "number" for k in range(len(heads))]
    top = [element("th", head, scope="col", class_=kind) for head, kind in zip(heads, kinds, strict=True)]
    body = [
        element("tr", *(_cell(cell, kind, k) for k, (cell, kind) in enumerate(zip(row, kinds, strict=True))))
        for row in rows
    ]
    whole = element(
        "table",
        element("caption", caption, class_="heard"),
        element("thead", element("tr", *top)),
        element("tbody", *body),
        class_=class_ or None,
    )
    return element("div", whole, class_="scroll", tabindex="0", role="region", aria_label=caption)


def facts(pairs: Iterable[tuple[str, Child]]) -> Html:
    """Return a list of facts: what it is, and what it comes to; empty ones are left out."""
    told = [element("div", element("dt", what), element("dd", fact)) for what, fact in pairs if fact]
    return element("dl", *told, class_="facts")


def _cell(cell: Child, kind: str, column: int) -> Html:
    return element("td", cell, class_=kind) if column else element("th", cell, class_=kind, scope="row")


def _escaped(child: str) -> str:
    return child if isinstance(child, Html) else html.escape(bare(child))


def _attribute(key: str) -> str:
    return key.removesuffix("_").replace("_", "-") if key != "viewBox" else key
