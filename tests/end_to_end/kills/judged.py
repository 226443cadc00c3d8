"""An attack with its verdict: every sweep is compared with one that nobody touched."""

import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from attack import Attack
from besieged import SETTINGS, Besieged, Setting
from laws import Findings, broken_laws, findings, strays

AGENTS_LIVE_ON = 100.0
"""Ray's two agents try for a minute to tell a killed head about it; nothing else outlives a sweep."""


class Judge:
    """Runs undisturbed sweeps, each kind once, and compares others with them.

    Args:
        folder: Where sweeps are made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._undisturbed: dict[Setting, Findings] = {}
        self._ended: list[Besieged] = []
        self._lock = threading.Lock()  # reports are drawn by one thread at a time

    def broken(self, attack: Attack) -> Iterator[tuple[Besieged, list[str]]]:
        """Carry an attack out; yields every sweep with the laws that it broke."""
        undisturbed = self.undisturbed(attack.kind)
        for sweep in attack.sweeps():
            self._ended.append(sweep)
            with self._lock:
                broken = broken_laws(sweep, undisturbed)
            yield sweep, broken

    def strays(self) -> list[str]:
        """Return the processes that outlived the attacked sweeps."""
        deadline = time.monotonic() + AGENTS_LIVE_ON
        while found := [stray for sweep in self._ended for stray in strays(sweep)]:
            if time.monotonic() > deadline:
                break
            time.sleep(1)
        return found

    def undisturbed(self, kind: str) -> Findings:
        """Return what an undisturbed sweep leaves; where MLflow is makes no difference to that."""
        with self._lock:
            return self._findings_of(SETTINGS[kind])

    def _findings_of(self, setting: Setting) -> Findings:
        alike = replace(setting, served=False)
        if alike not in self._undisturbed:
            sweep = Besieged(self._folder / f"undisturbed-{len(self._ended)}-{len(self._undisturbed)}", alike)
            sweep.launch()
            code = sweep.launcher.wait()
            assert code == 0, sweep.output(1).read_text()
            self._undisturbed[alike] = findings(sweep)
            assert broken_laws(sweep, self._undisturbed[alike]) == []
            assert sweep.step_count() == alike.steps
        return self._undisturbed[alike]


def carry_out(
    attacks: Sequence[Attack],
    judge: Judge,
    at_once: int,
    heard: Callable[[Attack, Besieged, dict[str, list[str]]], None],
) -> dict[str, list[str]]:
    """Attack a sweep of each kind in turn, so many at a time, until no attack has kills left.

    Args:
        attacks: What to carry out.
        judge: Whoever judges each sweep.
        at_once: Sweeps that are attacked at a time.
        heard: Called after each verdict, with all laws broken so far.

    Returns:
        The broken laws by sweep; of an attack that failed itself, its error.
    """
    waiting = deque((attack, judge.broken(attack)) for attack in attacks)
    broken: dict[str, list[str]] = {}

    def attack_some() -> None:
        while waiting:
            attack, verdicts = waiting.popleft()
            try:
                sweep, laws = next(verdicts)
            except StopIteration:
                continue
            except Exception as error:
                traceback.print_exc()
                broken[attack.kind] = [f"{type(error).__name__}: {error}"]
                continue
            if laws:
                broken[sweep.folder.name] = laws
            heard(attack, sweep, broken)
            waiting.append((attack, verdicts))

    threads = [threading.Thread(target=attack_some) for _ in range(at_once)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return broken
