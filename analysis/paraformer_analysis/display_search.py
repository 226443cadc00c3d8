"""The variants that a search tried, as a printed table."""

from paraformer_analysis.display import Cell, Grid, number_cell, percent, text_cell, trimmed
from paraformer_analysis.history import History, Proposal

MOST_SHOWN = 20


def search_grid(history: History, compared: bool = False) -> Grid:
    """Value on dev of every variant that was tried, the best first.

    Args:
        history: The search.
        compared: Whether its own trials make the report's table, as those of a random search may.
    """
    shown = history.ranked[:MOST_SHOWN]
    value = f"{history.metric}{' %' if history.in_percent else ''}"
    heads = ("variant", value, "proposed as", "seeds", "trained again", "without a result")
    left = len(history.proposals) - len(shown)
    hidden = (
        "" if compared else " Test scores of these trials are not shown, lest anything be chosen by them."
    )
    note = (
        f"By {history.metric} of the epoch whose weights are kept, mean over seeds. Descriptive: the best of "
        f"many is partly lucky, so nothing here is tested and none of it is a result.{hidden}"
    )
    more = f" The {left} worst are in search.csv." if left > 0 else ""
    rows = tuple(_row(proposal, history) for proposal in shown)
    return trimmed(Grid("search", "What was tried", heads, rows, note + more))


def _row(proposal: Proposal, history: History) -> tuple[Cell, ...]:
    seeds = (
        f"{proposal.finished}"
        if proposal.finished == proposal.planned
        else f"{proposal.finished} of {proposal.planned}"
    )
    return (
        text_cell(proposal.variant),
        number_cell(proposal.value, percent if history.in_percent else lambda value: f"{value:.4g}"),
        Cell(str(proposal.number), proposal.number),
        Cell(seeds, proposal.finished),
        text_cell("yes" if proposal.chosen else ""),
        text_cell(proposal.state),
    )
