"""Errors of the analysis room, which imports no other room."""


class AnalysisError(ValueError):
    """Records that cannot be turned into a table: what is wrong, and what to do about it."""
