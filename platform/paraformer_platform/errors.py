"""Errors of the platform; see ``paraformer.errors`` for the root and what the command line does with them."""

from paraformer.errors import ParaformerError


class SweepError(ParaformerError, ValueError):
    """A sweep file or plan that cannot be run, or a resume that would change what was planned."""


class LedgerError(ParaformerError, RuntimeError):
    """The ledger cannot be read or written, or a writer lost its claim."""


class ClaimLostError(LedgerError):
    """A process wrote to the ledger of a trial that another one has claimed since."""


class TrackingError(ParaformerError, RuntimeError):
    """The MLflow store cannot be reached or holds something unexpected."""


class RemoteError(ParaformerError, OSError):
    """A file system by URI that cannot be reached, read or written."""


class ClusterError(ParaformerError, RuntimeError):
    """A Ray cluster that cannot be reached or cannot run what was asked."""


class WorkerLostError(ClusterError):
    """Workers of a gang died or were taken away more often than a training is started again for it."""


class TrainingError(ParaformerError, ArithmeticError):
    """A training whose numbers are no longer finite."""


class StorageError(ParaformerError, OSError):
    """A file that cannot be written: the disk is full, read-only or broken."""
