"""What a training says for people: to whoever listens to its logger, and to its own file."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

logger = logging.getLogger("paraformer_platform.training")


def epoch_line(epoch: int, epochs: int, metrics: Mapping[str, float]) -> str:
    """One finished epoch in one line."""
    return (
        f"epoch {epoch}/{epochs}  loss {metrics['train/loss']:.3f}  "
        f"token accuracy {100 * metrics['train/token_accuracy']:.1f} %  "
        f"dev WER {100 * metrics['dev/wer']:.2f} %  dev CER {100 * metrics['dev/cer']:.2f} %"
    )


@contextmanager
def log_file(path: Path | None) -> Iterator[None]:
    """Write the training's messages to a file as well; None for the workers that do not write."""
    if path is None:
        yield
        return
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s"))
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
        handler.close()
