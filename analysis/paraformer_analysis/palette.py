"""Colours and type of the figures, and how they follow the page from light to dark.

Figures are drawn in the light colours. Inside the HTML page each colour is replaced by a CSS variable of the
same name, which has another value in the dark scheme.
"""

import io
import re
from contextlib import AbstractContextManager
from typing import Any, Final, cast

import matplotlib
from matplotlib.figure import Figure

PAPER: Final = "#fdfcfa"
INK: Final = "#1d2329"
MUTED: Final = "#68717b"
RULE: Final = "#d8dce1"
WASH: Final = "#aab2bc"
BETTER: Final = "#22765a"
WORSE: Final = "#b34a2a"
EQUIVALENT: Final = "#2c6699"
THIRD: Final = "#8a6d1f"

CSS_NAMES: Final = {
    PAPER: "paper",
    INK: "ink",
    MUTED: "muted",
    RULE: "rule",
    WASH: "wash",
    BETTER: "better",
    WORSE: "worse",
    EQUIVALENT: "equivalent",
    THIRD: "third",
}

STYLE: Final[dict[str, Any]] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": INK,
    "axes.grid": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "legend.frameon": False,
    # Text stays text, and identifiers do not change from one build to the next.
    "svg.fonttype": "none",
    "svg.hashsalt": "paraformer",
}


def style() -> AbstractContextManager[None]:
    """Draw in the report's style while this is entered, whatever the caller's settings are."""
    return cast("AbstractContextManager[None]", matplotlib.rc_context(cast(Any, STYLE)))


def svg_text(figure: Figure) -> str:
    """Render a figure as SVG; the same figure gives the same text."""
    buffer = io.StringIO()
    with style():
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def png_bytes(figure: Figure) -> bytes:
    """Render a figure as PNG on white, twice as fine as it is shown."""
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format="png", dpi=200, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def inline_svg(text: str, name: str, description: str) -> str:
    """Make an SVG part of a page: page colours, own identifiers, its natural width, a description."""
    body = text[text.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{name}-", body)
    for colour, variable in CSS_NAMES.items():
        body = body.replace(colour, f"var(--{variable})")
    body = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", body)
    body = re.sub(r"font-family: [^;\"]*;?", "", body)
    width = float(re.search(r'viewBox="0 0 ([\d.]+)', body).group(1))  # type: ignore[union-attr]
    opening = f'<svg role="img" aria-label="{description}" style="width: {width * 4 / 3:.0f}px"'
    body = re.sub(r'<svg (?:height|width)="[^"]*"', "<svg", body, count=1)
    body = re.sub(r'(<svg[^>]*?) (?:height|width)="[^"]*"', r"\1", body, count=1)
    return body.replace("<svg", opening, 1)
