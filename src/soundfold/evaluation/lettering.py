"""Text made drawable: a label is any text, a font has some letters only; matplotlib would draw boxes and warn.

The bundled font has Latin, Greek and Cyrillic letters and more, but no Chinese, Japanese, Korean or Indic ones, and few
pictographs. Families that commonly have those are taken where they are installed. Letters that no font has become □,
and the label gets its number in front, so that two such labels can still be told apart.
"""

import unicodedata
from functools import cache

__all__ = ["drawable", "font_families"]

_BUNDLED = "DejaVu Sans"
_WIDE = (
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Noto Sans CJK KR",
    "Noto Sans JP",
    "Noto Sans SC",
    "Noto Sans KR",
    "Source Han Sans",
    "WenQuanYi Zen Hei",
    "Arial Unicode MS",
    "Microsoft YaHei",
    "Yu Gothic",
    "Malgun Gothic",
    "Hiragino Sans",
    "PingFang SC",
    "Noto Sans",
    "Noto Sans Devanagari",
    "Noto Sans Bengali",
    "Noto Sans Tamil",
    "Noto Sans Thai",
    "Nirmala UI",
    "Segoe UI Symbol",
    "Symbola",
)
_MISSING = "□"


def drawable(text: str, number: int, width: int = 24) -> str:
    """Return `text` as it can be drawn on one line: composed, shortened with …, and with □ for letters no font has.

    Args:
        text: any text.
        number: put in front as `#number` when letters are missing; 0 puts nothing.
        width: how many columns it may take, ≥ 2; Chinese, Japanese and Korean signs take two.

    >>> drawable("a  very long\\nname of a class", 1, width=12)
    'a very long…'
    """
    line = " ".join(unicodedata.normalize("NFC", text).split())
    line = "".join(sign for sign in line if unicodedata.category(sign) not in ("Cc", "Cf", "Cs"))
    lacking = {sign for sign in line if not any(ord(sign) in _letters(family) for family in _installed())}
    if lacking:
        mark = f"#{number} " if number else ""
        line = mark + "".join(_MISSING if sign in lacking else sign for sign in line)
    return _shortened(line, width)


def font_families(text: str) -> list[str]:
    """Return the families that `text` needs, the bundled one first: what matplotlib takes as `fontfamily`."""
    rest = {ord(sign) for sign in text}
    families = []
    for family in _installed():
        if family == _BUNDLED or rest & _letters(family):
            families.append(family)
            rest -= _letters(family)
    return families


def _shortened(line: str, width: int) -> str:
    columns = [2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in line]
    if sum(columns) <= width:
        return line
    kept = 0
    while sum(columns[: kept + 1]) < width:
        kept += 1
    return line[:kept].rstrip() + "…"


@cache
def _installed() -> tuple[str, ...]:
    """The bundled family, then those of `_WIDE` that are found here; for others matplotlib would log complaints."""
    from matplotlib.font_manager import fontManager

    found = {font.name for font in fontManager.ttflist}
    return (_BUNDLED, *(family for family in _WIDE if family in found))


@cache
def _letters(family: str) -> frozenset[int]:
    """The code points that a family's upright font has."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return frozenset(get_font(findfont(FontProperties(family=[family]))).get_charmap())
