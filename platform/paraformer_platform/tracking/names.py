"""The names under which trials and sweeps are found in MLflow; the analysis room reads the same ones."""

from typing import Final

KIND: Final = "paraformer.kind"
SWEEP: Final = "paraformer.sweep"
PLAN: Final = "paraformer.plan"
TRIAL_KEY: Final = "paraformer.trial_key"
VARIANT: Final = "paraformer.variant"
SEED: Final = "paraformer.seed"
ATTEMPT: Final = "paraformer.attempt"
STATE: Final = "paraformer.state"
DATA: Final = "paraformer.data"
CODE: Final = "paraformer.code"
ERROR: Final = "paraformer.error"
ERROR_KIND: Final = "paraformer.error_kind"
RUN_NAME: Final = "paraformer.run_name"
CHECKPOINT: Final = "paraformer.checkpoint"
CHECKPOINT_PATH: Final = "paraformer.checkpoint_path"
DUPLICATE_OF: Final = "paraformer.duplicate_of"

PARENT_RUN: Final = "mlflow.parentRunId"
GIT_COMMIT: Final = "mlflow.source.git.commit"
GIT_DIRTY: Final = "paraformer.git_dirty"
DESCRIPTION: Final = "mlflow.note.content"
DISPLAY_NAME: Final = "mlflow.runName"

KIND_SWEEP: Final = "sweep"
KIND_TRIAL: Final = "trial"

FINISHED: Final = "FINISHED"
FAILED: Final = "FAILED"
KILLED: Final = "KILLED"
RUNNING: Final = "RUNNING"

STATUS_OF_STATE: Final = {"completed": FINISHED, "failed": FAILED, "stopped": KILLED}
"""MLflow's word for each final state of a trial."""
