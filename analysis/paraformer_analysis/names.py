"""The names under which sweeps and trials are found in MLflow; the platform writes the same ones."""

from typing import Final

KIND: Final = "paraformer.kind"
SWEEP: Final = "paraformer.sweep"
TRIAL_KEY: Final = "paraformer.trial_key"
VARIANT: Final = "paraformer.variant"
SEED: Final = "paraformer.seed"
ATTEMPT: Final = "paraformer.attempt"
STATE: Final = "paraformer.state"
DATA: Final = "paraformer.data"
CODE: Final = "paraformer.code"
ERROR: Final = "paraformer.error"
RUN_NAME: Final = "paraformer.run_name"
DISPLAY_NAME: Final = "mlflow.runName"
GIT_COMMIT: Final = "mlflow.source.git.commit"
GIT_DIRTY: Final = "paraformer.git_dirty"

LOCK_FILE: Final = "sweep/sweep.lock.json"
TEST_FILE: Final = "results/test.csv"
ENVIRONMENT_FILE: Final = "environment.json"
REPORT_FOLDER: Final = "report"

COMPLETED: Final = "completed"
STOPPED: Final = "stopped"
STOPPED_EARLY: Final = "stopped early"
"""Begins the reason of a trial that its sweep's early termination stopped."""
SELECTION: Final = "training.selection"
"""Parameter that names the score by which a trial's best epoch is chosen."""
GROUP_PREFIX: Final = "group_"
"""Begins the columns of test results that tell which groups an utterance belongs to."""
AMOUNT_PREFIX: Final = "metric:"
WEIGHT_PREFIX: Final = "weight:"
"""Begin the columns of test results that hold a metric of the user's own: what an utterance scored, and what
it counts."""
MISSING: Final = "missing"
"""State of a planned trial of which the store holds no run."""
STATE_OF_STATUS: Final = {
    "FINISHED": "completed",
    "FAILED": "failed",
    "KILLED": "stopped",
    "RUNNING": "running",
}
"""What MLflow's status says about a trial that carries no state of its own yet."""

COSTS: Final = {
    "cost/parameters": "parameters",
    "cost/flops_per_second_of_speech": "FLOPs per second of speech",
    "cost/train_seconds": "training seconds",
    "cost/gpu_hours": "GPU-hours",
    "cost/peak_memory_mb": "peak memory, MB",
    "cost/rtf": "real-time factor",
}
"""Cost metrics of a trial and what they are called in a report."""
