"""All figures that a report's records can fill, with their captions."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from matplotlib.figure import Figure

from paraformer_analysis import figures, figures_search, figures_slices, palette
from paraformer_analysis.effects import Effects
from paraformer_analysis.history import History
from paraformer_analysis.records import Records
from paraformer_analysis.slices import Slice
from paraformer_analysis.table import AblationTable


@dataclass(frozen=True)
class Picture:
    """One figure of a report."""

    figure: Figure
    caption: str

    @cached_property
    def svg_file(self) -> str:
        """The figure as an SVG file of its own."""
        return palette.svg_text(self.figure)


def table_pictures(
    table: AblationTable, records: Records, effects: Effects | None, slices: Sequence[Slice]
) -> dict[str, Picture]:
    """Draw what a table of compared variants shows."""
    margin = " Grey: the equivalence margin." if table.options.equivalence_margin is not None else ""
    return _drawn(
        {
            "forest": (
                figures.forest(table),
                f"Difference to the baseline with its {table.confidence} interval; filled where the "
                f"corrected test tells it from zero.{margin}",
            ),
            "main_effects": (
                figures.main_effects(effects) if effects else None,
                f"Main effects with {table.confidence} intervals.",
            ),
            "interactions": (
                figures.interactions(effects) if effects else None,
                "Interactions, the surest first: lines that are not parallel.",
            ),
            "slices": (
                figures_slices.slices(slices, table),
                f"Difference to the baseline within groups, with {table.confidence} intervals.",
            ),
            "pareto": (figures.pareto(table), "Error against cost. Filled: nobody is better at both."),
            "error_types": (figures.error_types(table), "Kinds of errors."),
            **_curves(table, records),
        }
    )


def search_pictures(history: History) -> dict[str, Picture]:
    """Draw what a search did."""
    return _drawn(
        {
            "search_history": (
                figures_search.search_history(history),
                "The search in its order. Descriptive: it chose its variants by these very values.",
            ),
            "importances": (
                figures_search.importances(history),
                "What mattered to the search, by Optuna's PED-ANOVA. Descriptive: adaptively sampled.",
            ),
        }
    )


def curve_pictures(table: AblationTable, records: Records) -> dict[str, Picture]:
    """Draw how variants were trained, where nothing is compared yet."""
    return _drawn(_curves(table, records))


def _curves(table: AblationTable, records: Records) -> dict[str, tuple[Figure | None, str]]:
    pale = "; pale: the baseline" if table.baseline is not None else ""
    caption = f"Learning curves: mean over seeds, band from lowest to highest seed{pale}."
    return {"learning_curves": (figures.learning_curves(table, records.curves, records.design.rate), caption)}


def _drawn(pictures: dict[str, tuple[Figure | None, str]]) -> dict[str, Picture]:
    return {
        name: Picture(figure, caption) for name, (figure, caption) in pictures.items() if figure is not None
    }
