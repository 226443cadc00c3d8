"""Makes every process that trains note its optimiser steps in one file, from outside of the product.

Python imports this module at its start where the folder is on PYTHONPATH, so Ray's workers do too. Lines::

    <trial key> <rank> <step> <process> <whether the trial was complete already>

``KILL_STEPS_LOG`` names the file. ``KILL_STEP_SECONDS`` is slept after each step, so that a tiny training
lasts long enough to be killed, without using a processor.
"""

import importlib.abc
import importlib.machinery
import os
import sys
import time
from pathlib import Path

LOG = os.environ.get("KILL_STEPS_LOG", "")
PAUSE = float(os.environ.get("KILL_STEP_SECONDS", "0"))
TRAINING = "paraformer_platform.training.loop"


def counted(train):
    def train_counted(config, folder, reporter, **more):
        key, summary = Path(folder).name, Path(folder) / "results" / "summary.json"
        log = os.open(LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

        def note(done, total):
            line = f"{key} {reporter.rank} {done} {os.getpid()} {int(summary.exists())}\n"
            os.write(log, line.encode())
            time.sleep(PAUSE)

        try:
            return train(config, folder, reporter, **{"on_step": note, **more})
        finally:
            os.close(log)

    return train_counted


class CountingFinder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != TRAINING:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        execute = spec.loader.exec_module

        def execute_and_count(module):
            execute(module)
            module.train = counted(module.train)

        spec.loader.exec_module = execute_and_count
        return spec


if LOG:
    sys.meta_path.insert(0, CountingFinder())
