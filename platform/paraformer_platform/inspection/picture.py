"""What the pictures of this package share: one look, and how they are written."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK = "#1d2329"
MUTED = "#68717b"
RULE = "#d8dce1"
FIRE = "#b34a2a"
SPOKEN = "#2c6699"
RAMP = "magma"
ON_RAMP = "#ffffff"
"""Seen on every colour of the ramp but its last."""
DOTS_PER_INCH = 130

_STYLE: dict[str, Any] = {
    "font.size": 9,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "text.color": INK,
    "legend.frameon": False,
}


def style() -> AbstractContextManager[None]:
    """The look of the pictures, whatever the user's own settings are."""
    import matplotlib

    return cast("AbstractContextManager[None]", matplotlib.rc_context(cast("Any", _STYLE)))


def write_picture(figure: "Figure", path: Path) -> None:
    """Write a figure; the ending of the path says as what: .png, .svg or .pdf.

    Raises:
        ConfigError: if matplotlib knows no such ending.
    """
    from paraformer.errors import ConfigError

    known = figure.canvas.get_supported_filetypes()
    if path.suffix.lstrip(".").lower() not in known:
        raise ConfigError(f"the picture {path} must end in one of .{', .'.join(sorted(known))}")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=DOTS_PER_INCH, bbox_inches="tight")
