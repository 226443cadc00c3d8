"""Pictures of a search: its values in their order with the best so far, and what mattered."""

import math

from matplotlib.figure import Figure

from paraformer_analysis import palette
from paraformer_analysis.figures import panel, plain_left, styled
from paraformer_analysis.history import History

MOST_IMPORTANCES = 12


@styled
def search_history(history: History) -> Figure | None:
    """Value of every proposal in its order, and the best so far; None without any value."""
    scale = 100 if history.in_percent else 1
    known = [proposal for proposal in history.proposals if math.isfinite(proposal.value)]
    if not known:
        return None
    figure, axes = panel(height=3.0)
    axes.step(
        [proposal.number for proposal in history.proposals],
        [scale * proposal.best_so_far for proposal in history.proposals],
        where="post",
        color=palette.EQUIVALENT,
        linewidth=1.5,
        label="best so far",
    )
    for label, color, size, of_them in (
        ("tried", palette.WASH, 5, False),
        ("trained again from fresh seeds", palette.BETTER, 7, True),
    ):
        shown = [proposal for proposal in known if proposal.chosen == of_them]
        if shown or not of_them:
            numbers = [proposal.number for proposal in shown]
            values = [scale * proposal.value for proposal in shown]
            axes.plot(numbers, values, "o", color=color, markersize=size, label=label)
    without = [proposal.number for proposal in history.proposals if not math.isfinite(proposal.value)]
    if without:
        top = max(scale * proposal.value for proposal in known)
        axes.plot(without, [top] * len(without), "x", color=palette.WORSE, markersize=5, label="no result")
    axes.set_xlabel("variants in the order in which they were proposed")
    axes.set_ylabel(f"{history.metric}{', %' if history.in_percent else ''}")
    axes.yaxis.set_tick_params(labelcolor=palette.MUTED)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, borderaxespad=0, handlelength=1)
    return figure


@styled
def importances(history: History) -> Figure | None:
    """Share of every parameter in what made variants good; None for too few variants."""
    if not history.importances:
        return None
    shown = list(history.importances.items())[:MOST_IMPORTANCES]
    figure, axes = panel(height=0.8 + 0.3 * len(shown))
    places = range(len(shown))
    axes.barh(places, [100 * share for _, share in shown], color=palette.EQUIVALENT, height=0.55)
    for place, (_, share) in enumerate(shown):
        axes.annotate(
            f"{100 * share:.0f}",
            (100 * share, place),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=palette.MUTED,
        )
    axes.set_yticks(places, [key for key, _ in shown])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_xlim(left=0)
    axes.set_xlabel("share in what made variants good, %")
    plain_left(axes)
    return figure
