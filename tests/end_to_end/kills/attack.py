"""Kills of random victims at random moments, drawn by a seed, and the same command until all is well."""

import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from besieged import SETTINGS, Besieged, kill_all

LAUNCHER, TRIAL, WORKER, RAYLET, MACHINE, SERVER = (
    "launcher",
    "trial actor",
    "gang worker",
    "raylet",
    "everything at once",
    "MLflow server",
)
VICTIMS = {
    "trials": {LAUNCHER: 4, TRIAL: 4, RAYLET: 1, MACHINE: 1},
    "gangs": {LAUNCHER: 2, TRIAL: 1, WORKER: 4, RAYLET: 1},
    "served": {LAUNCHER: 2, TRIAL: 1, SERVER: 4},
    "searches": {LAUNCHER: 3, TRIAL: 2, MACHINE: 1},
}
"""By kind of sweep: who is killed, and how often relative to each other."""
START_SECONDS = 8.0
"""Moments counted in seconds since the launch reach this far: most of a launch's start."""
SERVER_AWAY = 3.0
"""A killed server is started again after at most so many seconds."""
A_LAUNCH_TAKES = 900.0
LAUNCHER_ENDS_WITHIN = 300.0
MOST_LAUNCHES = 60


@dataclass(frozen=True)
class Kill:
    """What was planned."""

    victim: str
    seconds: float | None
    """Moment, counted from the launch; or …"""
    steps: int | None
    """… counted in optimiser steps of the sweep from now on, and then …"""
    delay: float
    """… so many seconds."""


@dataclass
class Death:
    """What happened."""

    setting: str
    sweep: int
    launch: int
    victim: str
    process: str
    moment: str
    trials: dict[str, int]
    """How many trials were in which state of the ledger."""
    steps: int
    """Optimiser steps made by then."""


class Hung(AssertionError):
    """A launch did not end."""


class Attack:
    """Sweeps of one kind, one after the other, until so many kills are done.

    Args:
        kind: A name of SETTINGS.
        seed: Decides victims and moments.
        kills: How many.
        folder: Where the sweeps are made.
    """

    def __init__(self, kind: str, seed: int, kills: int, folder: Path) -> None:
        self.kind = kind
        self.seed = seed
        self._chance = random.Random(f"{kind} {seed}")
        self._left = kills
        self._folder = folder
        self._sweeps = 0
        self.deaths: list[Death] = []
        self.exits: Counter[int] = Counter()
        """How launches ended, by exit code; -9 for a killed one."""
        self.seconds = 0.0

    def sweeps(self) -> Iterator[Besieged]:
        """Attack sweep after sweep; each is handed out when it has ended well."""
        while self._left:
            self._sweeps += 1
            begun = time.monotonic()
            folder = self._folder / f"{self.kind}-{self.seed}-{self._sweeps}"
            sweep = Besieged(folder, SETTINGS[self.kind])
            try:
                self._run(sweep)
                self.seconds += time.monotonic() - begun
                yield sweep
            finally:
                sweep.end()

    def log(self) -> list[dict[str, object]]:
        """All kills, as plain data."""
        return [asdict(death) for death in self.deaths]

    def _run(self, sweep: Besieged) -> None:
        kill = self._next_kill(sweep)
        while True:
            assert sweep.launches < MOST_LAUNCHES, f"{sweep.folder}: {MOST_LAUNCHES} launches and no end"
            if sweep.server is not None:
                sweep.server.wait()
            sweep.launch()
            kill = self._until_it_ends(sweep, kill)
            code = sweep.launcher.returncode
            self.exits[code] += 1
            if code == 0:
                return

    def _next_kill(self, sweep: Besieged) -> Kill | None:
        """Draw a victim and a moment within what is left of the sweep."""
        if not self._left:
            return None
        chance = self._chance
        weights = VICTIMS[self.kind]
        [victim] = chance.choices(list(weights), list(weights.values()))
        if victim in (LAUNCHER, MACHINE) and chance.random() < 0.5:
            return Kill(victim, chance.uniform(0, START_SECONDS), None, 0.0)
        ahead = max(1, sweep.setting.steps // 5)
        return Kill(victim, None, chance.randint(0, ahead), chance.uniform(0, 0.1))

    def _until_it_ends(self, sweep: Besieged, kill: Kill | None) -> Kill | None:
        """Kill while the launch runs; returns the kill that is still to come."""
        begun, steps, restart_at = time.monotonic(), sweep.step_count(), None
        must_end = begun + A_LAUNCH_TAKES
        while sweep.launcher.poll() is None:
            now = time.monotonic()
            if now > must_end:
                raise Hung(f"{sweep.folder}: launch {sweep.launches} does not end: {self.deaths[-1:]}")
            if restart_at is not None and now >= restart_at:
                sweep.server.start()
                restart_at = None
            if kill is not None and restart_at is None and self._is_time(kill, sweep, now - begun, steps):
                time.sleep(kill.delay)
                if self._strike(kill, sweep):
                    if kill.victim == SERVER:
                        restart_at = time.monotonic() + self._chance.uniform(0, SERVER_AWAY)
                    if kill.victim in (LAUNCHER, MACHINE, RAYLET):
                        must_end = min(must_end, time.monotonic() + LAUNCHER_ENDS_WITHIN)
                    kill, steps = self._next_kill(sweep), sweep.step_count()
                    begun = time.monotonic()
            time.sleep(0.005)
        if restart_at is not None:
            sweep.server.start()
        return kill

    def _is_time(self, kill: Kill, sweep: Besieged, seconds: float, steps: int) -> bool:
        if kill.seconds is not None:
            return seconds >= kill.seconds
        return sweep.step_count() >= steps + kill.steps

    def _strike(self, kill: Kill, sweep: Besieged) -> bool:
        victims = _victims(kill.victim, sweep)
        if not victims:
            return False
        if kill.victim != MACHINE:
            victims = [self._chance.choice(victims)]
        states = Counter(state for _, state, _ in sweep.ledger())
        moment = f"{kill.seconds:.2f} s" if kill.seconds is not None else f"{kill.steps} steps"
        if kill.victim == SERVER:
            sweep.server.kill()
            process = "mlflow server"
        else:
            process = "everything" if kill.victim == MACHINE else _title(victims[0]).rpartition("/")[2]
            kill_all(victims)
        steps = sweep.step_count()
        self.deaths.append(
            Death(
                self.kind,
                self._sweeps,
                sweep.launches,
                kill.victim,
                process,
                f"{moment} + {1000 * kill.delay:.0f} ms",
                dict(states),
                steps,
            )
        )
        self._left -= 1
        return True


def _victims(victim: str, sweep: Besieged) -> list[psutil.Process]:
    """Return the living processes that are such a victim."""
    if victim == SERVER:
        return [psutil.Process(sweep.server.process.pid)] if sweep.server.process else []
    if victim == LAUNCHER:
        return [psutil.Process(sweep.launcher.pid)]
    processes = sweep.processes()
    if victim == MACHINE:
        return processes
    if victim == TRIAL:
        owners = {int(owner.split(":")[1]) for _, state, owner in sweep.ledger() if state == "claimed"}
        return [process for process in processes if process.pid in owners]
    name = {RAYLET: "raylet/raylet", WORKER: "ray::RayTrainWorker"}[victim]
    return [process for process in processes if name in _title(process)]


def _title(process: psutil.Process) -> str:
    try:
        return (process.cmdline() or [""])[0].strip()
    except psutil.Error:
        return ""
