"""The sentences around the table: its extent and its method."""

from paraformer_analysis.design import CONFIRM, ReportOptions
from paraformer_analysis.effects import Effects, TermTest, is_interaction
from paraformer_analysis.history import History, Proposal
from paraformer_analysis.records import Records
from paraformer_analysis.scores import LEAST_SPEAKERS
from paraformer_analysis.scoring import NORMALISATION
from paraformer_analysis.table import AblationTable
from paraformer_analysis.verdicts import Sentence, interval, joined, points

_KINDS = {
    "ablation": "Ablation: the baseline and one change at a time",
    "grid": "Full factorial sweep",
    "fractional": "Fractional factorial sweep",
    "bayes": "Bayesian search",
    "random": "Random search",
    "list": "Sweep of listed variants",
    "compare": "Comparison of two trials",
}


def kind(records: Records) -> str:
    """Name the kind of sweep."""
    return _KINDS.get(records.design.method, records.design.method)


def extent(records: Records, shown: Records, table: AblationTable) -> str:
    """Say how much there is: variants, seeds, finished trials, test material."""
    runs, scores = records.runs, table.scores
    parts = [
        _count(len(shown.design.variants), "variant"),
        _count(len(shown.design.seeds), "fresh seed" if _confirmed(shown) else "seed"),
        f"{int(runs['usable'].sum())} of {_count(len(runs), 'trial')} finished",
        _count(len(scores.ids), "test utterance"),
        f"{_count(int(scores.lengths.sum()), table.unit)} to recognise",
    ]
    if scores.speakers:
        parts.append(_count(scores.speakers, "speaker"))
    return " · ".join(parts)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}".replace(",", "\u2009")


def _confirmed(shown: Records) -> bool:
    return any(cell.stage == CONFIRM for cell in shown.design.cells)


def method(shown: Records, table: AblationTable, comparable: bool) -> list[str]:
    """Explain how the numbers came about and what they do not tell."""
    if not comparable:
        return [
            "The checkpoint of each trial was chosen on the dev set, and the search looked at the dev set "
            "alone. Nothing that was measured on the test set is shown before the best variants are trained "
            "again from fresh seeds: the best of many is partly lucky, and the search chose by that luck."
        ]
    paragraphs = [_scoring(shown, table), _intervals(table)]
    if table.baseline is not None:
        paragraphs.append(_testing(table))
    if _confirmed(shown):
        paragraphs.append(
            "The table holds trials from fresh seeds only, begun when the search had ended. The search chose "
            "by dev, and none of its own trials enter the table, so their luck does not either."
        )
    elif shown.design.searches:
        paragraphs.append(
            "The variants were drawn at random before any result was known, so all of them may be compared; "
            "the best of them is still lower here than it would be on a second try. Train it again from "
            "fresh seeds before quoting its rate: add confirm: {top: 1, seeds: [101, 102, 103]} to the sweep "
            "file."
        )
    if table_is_cut(table):
        paragraphs.append(_cutting(shown))
    return paragraphs


def table_is_cut(table: AblationTable) -> bool:
    """Whether early termination stopped some of the table's trials."""
    return any(row.cut for row in table.rows)


def _cutting(shown: Records) -> str:
    if shown.design.allow_biased:
        return (
            "Early termination stopped some trials (‡), and the sweep file allows comparing what it spared. "
            "Spared seeds are the lucky ones, so these rows are biased and their intervals do not cover."
        )
    return (
        "Rows of which early termination stopped a trial (‡) are not tested: the seeds that it spared are "
        "the lucky ones. Effects of factors are not estimated from them either."
    )


def search_story(records: Records, history: History) -> str:
    """Say how much was searched, by what, and what it cost."""
    runs = records.runs[records.runs["stage"] != CONFIRM]
    done = runs[runs["usable"]]
    tried = f"{_count(len(history.proposals), 'variant')} tried, chosen by {history.metric}"
    hours = [
        f"{done[name].sum() / scale:.3g} {unit}"
        for name, scale, unit in (
            ("cost/train_seconds", 3600, "hours of training"),
            ("cost/gpu_hours", 1, "GPU-hours"),
        )
        if name in done and done[name].sum() > 0
    ]
    return f"{tried}; {int(runs['usable'].sum())} of {_count(len(runs), 'trial')} finished" + (
        f", {' and '.join(hours)}." if hours else "."
    )


def factorial_answer(effects: Effects, options: ReportOptions, said: list[Sentence]) -> list[Sentence]:
    """Say which factors of a factorial sweep matter, between the baseline and the single variants."""
    if not effects.residual_freedom or not said:
        return said
    settled = [test for test in effects.tests if test.p_corrected < options.alpha]
    factors = [_factor(test, effects, options) for test in settled if not is_interaction(test.term)]
    together = [_or_aliases(test) for test in settled if is_interaction(test.term)]
    open_ones = [test.term for test in effects.tests if test not in settled and not is_interaction(test.term)]
    told = (
        ("Factors that matter, each averaged over the others: {}.", factors),
        ("What one factor does depends on another: {}.", together),
        ("Factors not settled: {}.", open_ones),
    )
    return [
        said[0],
        *(Sentence(words.format(joined(named))) for words, named in told if named),
        *said[1:],
    ]


def _factor(test: TermTest, effects: Effects, options: ReportOptions) -> str:
    changes = [
        f"{change.first} → {change.level} {points(change.estimate / 100)} points "
        f"({options.confidence} interval {interval(change.low / 100, change.high / 100)})"
        for change in effects.changes_of(test.term)
    ]
    return f"{_or_aliases(test)} {joined(changes)}"


def _or_aliases(test: TermTest) -> str:
    """Name a term, and what the design cannot tell from it."""
    return f"{test.term} (or {', '.join(test.aliases)})" if test.aliases else test.term


def searched_answer(records: Records, history: History, said: list[Sentence]) -> list[Sentence]:
    """Say what a search found, before what its confirmation says of it."""
    design = records.design
    best = next((one for one in history.ranked if one.value == one.value), None)
    if best is None:
        return [Sentence("No answer yet: no variant of the search has all its results.")]
    if not said:
        return [Sentence(f"Nothing is established yet. {_unconfirmed(records, history, best)}")]
    if design.confirm is None:
        return said
    chosen = [one.variant for one in history.proposals if one.chosen]
    seeds = _count(len(design.confirm.seeds), "fresh seed")
    found = (
        f"Of {_count(len(history.proposals), 'variant')} the search found {' and '.join(chosen)} best by "
        f"{history.metric}; what follows is from training {'it' if len(chosen) == 1 else 'them'} again, "
        f"beside the baseline, from {seeds}."
    )
    return [Sentence(found), *said]


def _unconfirmed(records: Records, history: History, best: Proposal) -> str:
    shape = f"{100 * best.value:.2f}\u00a0%" if history.in_percent else f"{best.value:.4g}"
    tried = _count(len(history.proposals), "variant")
    found = f"By {history.metric} the best of {tried} is {best.variant}, {shape}"
    confirm = records.design.confirm
    if confirm is None:
        return (
            f"{found}, but the best of many is partly lucky. To have it trained again from fresh seeds "
            "beside the baseline, add confirm: {top: 1, seeds: [101, 102, 103]} to the sweep file and run it "
            "again with --extend."
        )
    fresh = records.runs[records.runs["stage"] == CONFIRM]
    planned = len(fresh) or (confirm.top + 1) * len(confirm.seeds)
    return (
        f"{found}; {int(fresh['usable'].sum())} of {_count(planned, 'trial')} that train it again from fresh "
        "seeds beside the baseline have finished. The sweep's command goes on with them."
    )


def _scoring(records: Records, table: AblationTable) -> str:
    return (
        "The checkpoint of each trial was chosen on the dev set; everything here is measured on the test "
        f"set, which chose nothing. Rates are corpus rates: all {table.unit} errors over all {table.unit}s "
        f"of the references, averaged over seeds. Texts are compared so: {NORMALISATION}."
    )


def _intervals(table: AblationTable) -> str:
    scores, options = table.scores, table.options
    blocks = (
        f"the {scores.speakers} speakers"
        if scores.block_kind == "speaker"
        else f"{len(scores.ids)} utterances"
    )
    seeds = (
        f"Seeds and {blocks} are resampled {options.bootstrap:,} times".replace(",", "\u2009")
        if table.seed_spread_known
        else f"{blocks[0].upper()}{blocks[1:]} are resampled {options.bootstrap:,} times, and with them "
        "the seeds of rows that have three or more"
    )
    few = (
        f" Utterances and not speakers, since fewer than {LEAST_SPEAKERS} speakers are named."
        if scores.block_kind == "utterance"
        else ""
    )
    return (
        f"{seeds}, in pairs with the baseline, to give {table.confidence} intervals; the spread over few "
        f"seeds is corrected for with Student's t.{few} Seed of the bootstrap: {options.seed}."
    )


def _testing(table: AblationTable) -> str:
    options = table.options
    margin = options.equivalence_margin
    correction = (
        "corrected for the number of rows (Holm)" if options.correction == "holm" else "not corrected"
    )
    equivalence = (
        f"Equivalent: a difference beyond ±{margin:g} points is ruled out at the same level."
        if margin is not None
        else "No equivalence margin is declared, so no row can be called equivalent."
    )
    return (
        f"Better and worse: p below {options.alpha:g}, {correction}; p is the larger of two, for other seeds "
        f"and test material and for these very networks on other test material. {equivalence} "
        "Inconclusive means that this sweep cannot tell, not that there is no difference."
    )
