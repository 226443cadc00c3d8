"""What `paraformer doctor` finds: each with its remedy."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

Level = Literal["ok", "warning", "error"]
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
        line = f"{MARKS[self.level]}  {self.about}  {self.where}: {self.message}"
        return f"{line}\n         -> {self.remedy}" if self.remedy else line


def has_errors(findings: Iterable[Finding]) -> bool:
    """Tell whether anything was found that a sweep would fail of."""
    return any(finding.level == "error" for finding in findings)
