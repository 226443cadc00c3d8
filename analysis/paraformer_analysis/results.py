"""The table of test results that each trial leaves behind: one row per utterance, checked before use."""

import io

import numpy as np
import pandas as pd

from paraformer_analysis.names import AMOUNT_PREFIX, GROUP_PREFIX, TEST_FILE, WEIGHT_PREFIX

TEXT_COLUMNS = ("id", "speaker", "reference", "hypothesis")
COUNT_COLUMNS = (
    "words",
    "word_substitutions",
    "word_deletions",
    "word_insertions",
    "characters",
    "char_substitutions",
    "char_deletions",
    "char_insertions",
)
EXTRA_COLUMNS = (
    "seconds",
    "reference_tokens",
    "hypothesis_tokens",
    "ctc_word_errors",
    "ctc_char_errors",
    "oracle_word_errors",
    "oracle_char_errors",
)
"""Read where they are; a trial without them still enters the table."""


OWN_PREFIXES = (AMOUNT_PREFIX, WEIGHT_PREFIX)
KEPT_PREFIXES = (GROUP_PREFIX, *OWN_PREFIXES)


def parse_results(table: bytes | None) -> tuple[pd.DataFrame | None, str]:
    """Read a results table; texts stay texts, also those that spell ``null`` or ``nan``."""
    if table is None:
        return None, f"no {TEST_FILE}"
    wanted = {*TEXT_COLUMNS, *COUNT_COLUMNS, *EXTRA_COLUMNS}
    try:
        frame = pd.read_csv(
            io.BytesIO(table),
            dtype=str,
            keep_default_na=False,
            usecols=lambda column: column in wanted or str(column).startswith(KEPT_PREFIXES),
        )
    except (ValueError, UnicodeDecodeError) as error:
        return None, f"{TEST_FILE} cannot be read: {error}"
    absent = [column for column in (*TEXT_COLUMNS, *COUNT_COLUMNS) if column not in frame]
    if absent:
        return None, f"{TEST_FILE} has no column {', '.join(absent)}"
    return _checked(frame)


def _checked(frame: pd.DataFrame) -> tuple[pd.DataFrame | None, str]:
    own = [column for column in frame if str(column).startswith(OWN_PREFIXES)]
    numeric = [column for column in (*COUNT_COLUMNS, *EXTRA_COLUMNS, *own) if column in frame]
    for column in numeric:
        frame[column] = pd.to_numeric(frame[column], errors="coerce")
    counts = frame[list(COUNT_COLUMNS)]
    if frame.empty:
        return None, f"{TEST_FILE} has no utterance"
    if not (np.isfinite(counts.to_numpy()).all() and (counts.to_numpy() >= 0).all()):
        return None, f"{TEST_FILE} holds counts that are not whole numbers"
    if frame["id"].duplicated().any():
        twice = frame.loc[frame["id"].duplicated(), "id"].iloc[0]
        return None, f"{TEST_FILE} holds the utterance {twice} twice"
    return frame.astype({column: np.int32 for column in COUNT_COLUMNS}), ""
