"""How long a training took, over all its interruptions and with GPUs that come and go."""

import time

Seconds = float


class Stopwatch:
    """Adds up the time between `start` and `stop`.

    Args:
        gpus: That are at work while it runs.
    """

    def __init__(self, gpus: int) -> None:
        self.seconds: Seconds = 0.0
        self.gpu_seconds: Seconds = 0.0
        self._gpus = gpus
        self._begun: Seconds = 0.0

    def start(self) -> None:
        """Begin to count."""
        self._begun = time.perf_counter()

    def stop(self) -> None:
        """Count what went by since `start`."""
        passed = time.perf_counter() - self._begun
        self.seconds += passed
        self.gpu_seconds += self._gpus * passed

    def to_state(self) -> dict[str, float]:
        """What was counted."""
        return {"seconds": self.seconds, "gpu_seconds": self.gpu_seconds}

    def load_state(self, state: dict[str, float]) -> None:
        """Go on where `to_state` was taken."""
        self.seconds, self.gpu_seconds = state["seconds"], state["gpu_seconds"]
