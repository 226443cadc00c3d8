"""The source code and environment that Ray's workers get; built here and nowhere else.

A worker must run the code of the driver, not an older copy that happens to be installed on its node. So the
three source roots come first on its PYTHONPATH: for a local Ray by their absolute paths, on a cluster as
paths inside the uploaded checkout (Ray makes the upload the worker's current folder).
"""

import json
import os
from pathlib import Path

import paraformer_platform

ROOMS = ("model", "platform", "analysis")
JOB_VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Where Ray tells the driver of a submitted job what the job was given."""
NOT_UPLOADED = (
    ".venv/",
    "runs/",
    "data/",
    "mlruns/",
    "benchmarks/results/",
    "reports/",
    "*.pt",
    "*.flac",
    "*.wav",
)

QUIET_WORKERS = {
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    # The Train controller takes one report per poll: at its default of 2 s a short epoch waits for it.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray 2.60 would hide the GPUs of a worker that asks for none in a later version; say so already.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TOKENIZERS_PARALLELISM": "false",
}


def checkout() -> Path | None:
    """Return the checkout this package runs from, None when it was installed as a wheel."""
    root = Path(paraformer_platform.__file__).resolve().parents[2]
    return root if all((root / room).is_dir() for room in ROOMS) else None


def export_to_local_workers() -> None:
    """Set the environment that the workers of a Ray started by this process inherit."""
    for key, value in QUIET_WORKERS.items():
        os.environ.setdefault(key, value)
    root = checkout()
    if root is None:
        return
    known = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    roots = [str(root / room) for room in ROOMS]
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [*roots, *(path for path in known if path and path not in roots)]
    )


def cluster_runtime_env() -> dict[str, object]:
    """Build the runtime environment for a Ray that ran before: the uploaded checkout, quiet workers.

    A submitted job has its upload already, and Ray refuses a variable that both the job and its driver set.
    """
    if JOB_VARIABLE in os.environ:
        of_job = json.loads(os.environ[JOB_VARIABLE]).get("runtime_env", {}).get("env_vars", {})
        return {"env_vars": {key: value for key, value in QUIET_WORKERS.items() if key not in of_job}}
    root = checkout()
    if root is None:
        return {"env_vars": dict(QUIET_WORKERS)}
    return {
        "working_dir": str(root),
        "excludes": list(NOT_UPLOADED),
        "env_vars": {**QUIET_WORKERS, "PYTHONPATH": os.pathsep.join(ROOMS)},
    }
