"""Which variants nobody beats at both error and cost."""

from collections.abc import Sequence

import numpy as np


def pareto_front(errors: Sequence[float], costs: Sequence[float]) -> list[bool]:
    """Mark the points that no other is as good as in both and better than in one. NaN is never marked."""
    e, c = np.asarray(errors, dtype=float), np.asarray(costs, dtype=float)
    known = np.isfinite(e) & np.isfinite(c)
    no_worse = (e[:, None] <= e) & (c[:, None] <= c) & known[:, None]
    better = (e[:, None] < e) | (c[:, None] < c)
    dominated = (no_worse & better).any(axis=0)
    return [bool(flag) for flag in known & ~dominated]
