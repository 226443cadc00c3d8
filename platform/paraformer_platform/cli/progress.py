"""The one progress bar of all commands: how many, how fast, how long yet."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import ProgressColumn, Task

Advance = Callable[[int, int], None]
"""Is told how many are done, and of how many."""


@contextmanager
def progress_bar(doing: str, unit: str, quiet: bool = False) -> Iterator[Advance]:
    """Show a bar on standard error; nothing where that is no terminal, and nothing before the first step.

    Args:
        doing: What is going on: listening.
        unit: What is counted: utterances.
        quiet: Show nothing.

    Yields:
        A function to call with how many are done, and of how many.
    """
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (
        *Progress.get_default_columns()[:2],
        MofNCompleteColumn(),
        TextColumn(unit),
        rate_column(),
        TimeRemainingColumn(),
    )
    hidden = quiet or not console.is_terminal
    with Progress(*columns, console=console, disable=hidden, transient=True) as bar:
        task = bar.add_task(doing, total=None, visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=True)


def rate_column() -> "ProgressColumn":
    """Steps a second, or seconds a step where they are slow."""
    from rich.progress import ProgressColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: "Task") -> Text:
            return Text(rate(task.speed), style="progress.data.speed")

    return Rate()


def rate(steps_a_second: float | None) -> str:
    """A speed in words."""
    if not steps_a_second:
        return ""
    return f"{steps_a_second:.1f}/s" if steps_a_second >= 1 else f"{1 / steps_a_second:.1f} s each"


@contextmanager
def working(doing: str, quiet: bool = False) -> Iterator[None]:
    """Show that something goes on that cannot be counted; nothing where standard error is no terminal."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    hidden = quiet or not console.is_terminal
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=hidden, transient=True) as bar:
        bar.add_task(doing, total=None)
        yield
