"""Many more kills than a test run can afford, with a log of each.

    python tests/end_to_end/kills/kill_many.py --kills 200 --seed 1 --log benchmarks/results/kills.json

Exit code 1 when a law was broken; the log then names it, and the sweep's folder is kept.
"""

import argparse
import json
import platform
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOMS = [str(HERE.parents[2] / room) for room in ("model", "platform", "analysis")]
sys.path[:0] = [str(HERE), *ROOMS]

from attack import Attack  # noqa: E402
from judged import Judge, carry_out  # noqa: E402

SHARES = {"trials": 0.4, "served": 0.25, "searches": 0.15, "gangs": 0.2}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--at-once", type=int, default=1, help="sweeps attacked at a time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log", type=Path, required=True)
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="kills-"))
    judge, begun = Judge(folder), time.monotonic()
    attacks = [Attack(kind, asked.seed, round(share * asked.kills), folder) for kind, share in SHARES.items()]
    judged: set[tuple[str, int]] = set()

    def heard(attack, sweep, broken) -> None:
        judged.update((death.setting, death.sweep) for death in attack.deaths)
        print(
            f"{sweep.folder.name}: {sweep.launches} launches, broken: {broken.get(sweep.folder.name, 0)}",
            flush=True,
        )
        write(asked.log, log(asked, attacks, judged, broken, [], time.monotonic() - begun))

    broken = carry_out(attacks, judge, asked.at_once, heard)
    strays = judge.strays()
    write(asked.log, log(asked, attacks, judged, broken, strays, time.monotonic() - begun))
    if not broken and not strays:
        shutil.rmtree(folder)
        return 0
    print(f"kept: {folder}")
    return 1


def log(asked, attacks, judged, broken, strays, seconds) -> dict:
    """Return what happened to the sweeps that were judged."""
    deaths = [
        death for attack in attacks for death in attack.log() if (death["setting"], death["sweep"]) in judged
    ]
    exits = sum((attack.exits for attack in attacks), Counter())
    return {
        "seed": asked.seed,
        "kills": len(deaths),
        "by victim": dict(Counter(death["victim"] for death in deaths)),
        "sweeps": len({(death["setting"], death["sweep"]) for death in deaths}),
        "launches by exit code": {str(code): count for code, count in sorted(exits.items())},
        "broken laws": broken,
        "stray processes": strays,
        "minutes": round(seconds / 60, 1),
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "log": deaths,
    }


def write(path: Path, content: dict) -> None:
    """Write one line per kill, so that the file can be read."""
    head = {key: value for key, value in content.items() if key != "log"}
    lines = ",\n  ".join(json.dumps(death) for death in content["log"])
    path.write_text(json.dumps(head, indent=1)[:-2] + f',\n "log": [\n  {lines}\n ]\n}}\n')


if __name__ == "__main__":
    sys.exit(main())
