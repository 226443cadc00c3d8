"""What `paraformer doctor` finds: each with its remedy."""

import textwrap
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

Level = Literal["ok", "warning", "error"]
INDENT = " " * 9
MARKS: dict[Level, str] = {"ok": "ok     ", "warning": "WARNING", "error": "ERROR  "}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    """``error``: a sweep would fail or give wrong results; ``warning``: it might."""
    about: str
    """versions, storage, mlflow, gpus, disk or nodes."""
    where: str
    """Address of the node, or what was asked."""
    message: str
    remedy: str = ""

    def to_dict(self) -> dict[str, str]:
        """Return the finding as plain JSON."""
        return asdict(self)

    def __str__(self) -> str:
        """Return the finding as a line, its remedy as a second one."""
        return self.shown(width=10**6)

    def shown(self, width: int) -> str:
        """Return the finding in lines of so many columns, its remedy below it."""
        line = f"{MARKS[self.level]}  {self.about}  {self.where}: {self.message}"
        found = textwrap.wrap(line, width, subsequent_indent=INDENT, break_on_hyphens=False)
        remedy = textwrap.wrap(
            self.remedy,
            width,
            initial_indent=f"{INDENT}-> ",
            subsequent_indent=f"{INDENT}   ",
            break_on_hyphens=False,
        )
        return "\n".join([*found, *remedy])


def has_errors(findings: Iterable[Finding]) -> bool:
    """Tell whether anything was found that a sweep would fail of."""
    return any(finding.level == "error" for finding in findings)
