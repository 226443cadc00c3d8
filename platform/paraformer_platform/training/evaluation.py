"""Decoding a whole set for real, no length given away, and what it measures."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil

import torch

from paraformer.dataset import Batch, SpeechDataset
from paraformer.decoding import decode
from paraformer.losses import TrainingObjective
from paraformer.model import Paraformer
from paraformer_platform.config.schema import ExperimentConfig
from paraformer_platform.training.batches import evaluation_batches
from paraformer_platform.training.custom_metrics import CustomMetric, metric_values
from paraformer_platform.training.fitting import token_sums
from paraformer_platform.training.frontend import Frontend
from paraformer_platform.training.gang import gathered
from paraformer_platform.training.meter import TokenMeter
from paraformer_platform.training.precision import autocast
from paraformer_platform.training.scoring import count_characters, count_words, error_rate

Seconds = float
Progress = Callable[[int, int], None]
"""Is told how many are decoded, and of how many."""


@dataclass(frozen=True)
class Decoded:
    """One utterance and what was understood."""

    id: str
    reference: str
    hypothesis: str
    ctc_hypothesis: str | None
    """What the CTC head alone writes; None where it is not trained."""
    oracle_hypothesis: str | None
    """The same with the true number of tokens given; None where it was not asked for or means nothing."""
    reference_tokens: int
    hypothesis_tokens: int
    decode_seconds: Seconds
    """Its share, by frames, of the time that decoding its batch took; reading and features apart."""


@dataclass(frozen=True)
class Evaluator:
    """A model, ready to be tried on recordings.

    With several processes each decodes its share, and all of them get all results.
    """

    model: Paraformer
    frontend: Frontend
    config: ExperimentConfig
    device: torch.device
    rank: int = 0
    world_size: int = 1

    def decode(
        self, dataset: SpeechDataset, *, oracle: bool = False, progress: Progress | None = None
    ) -> list[Decoded]:
        """Decode recordings; results come in their order.

        Args:
            dataset: What to decode.
            oracle: Decode once more with the true lengths.
            progress: Told after each batch how many recordings this process has decoded, and of how many.
        """
        references = {utterance.id: utterance.text for utterance in dataset.utterances}
        mine: list[Decoded] = []
        for batch in self._batches(dataset):
            mine += self._decode_batch(batch, references, oracle=oracle)
            if progress is not None:
                progress(len(mine), ceil(len(dataset) / self.world_size))
        found = {row.id: row for row in gathered(mine, self.world_size)}
        return [found[utterance.id] for utterance in dataset.utterances]

    @torch.no_grad()
    def losses(self, dataset: SpeechDataset) -> dict[str, float]:
        """Losses and token accuracy with known transcripts, by the names dev/loss and so on."""
        objective = TrainingObjective(self.model, self.config.model.loss).eval()
        meter = TokenMeter(self.device, self.world_size)
        for batch in self._batches(dataset):
            with autocast(self.config.training.precision, self.device):
                output = objective(batch)
            tokens = batch.token_lens.sum().clamp(min=1)
            meter.add(token_sums(output, tokens), tokens)
        return dict(meter.means("dev"))

    def _batches(self, dataset: SpeechDataset) -> Iterator[Batch]:
        size = self.config.decoding.batch_size
        for batch in evaluation_batches(dataset, size, self.rank, self.world_size):
            yield batch.to(self.device)

    def _decode_batch(self, batch: Batch, references: dict[str, str], *, oracle: bool) -> Iterator[Decoded]:
        begun = time.perf_counter()
        tokens = self._tokens(batch, self.config.decoding.strategy)
        per_frame = (time.perf_counter() - begun) / int(batch.feat_lens.sum())
        ctc = self._tokens(batch, "ctc_greedy") if self.config.model.loss.ctc_weight > 0 else None
        known = self._tokens(batch, "greedy", batch.token_lens) if oracle and self._has_lengths else None
        text = self.frontend.tokenizer.decode
        for place, name in enumerate(batch.ids):
            yield Decoded(
                id=name,
                reference=references[name],
                hypothesis=text(tokens[place]),
                ctc_hypothesis=None if ctc is None else text(ctc[place]),
                oracle_hypothesis=None if known is None else text(known[place]),
                reference_tokens=int(batch.token_lens[place]),
                hypothesis_tokens=len(tokens[place]),
                decode_seconds=per_frame * int(batch.feat_lens[place]),
            )

    @property
    def _has_lengths(self) -> bool:
        """Whether the model decides on a length before it writes."""
        return not self.model.is_autoregressive

    def _tokens(
        self, batch: Batch, strategy: str, oracle_lens: torch.Tensor | None = None
    ) -> list[list[int]]:
        generator = torch.Generator(self.device).manual_seed(self.config.training.seed)
        with autocast(self.config.training.precision, self.device):
            found = decode(
                self.model,
                batch.features,
                batch.feat_lens,
                strategy=strategy,
                oracle_lens=oracle_lens,
                generator=generator,
            )
        return [hypothesis.tokens for hypothesis in found]


def scores(rows: list[Decoded], name: str, metrics: Sequence[CustomMetric] = ()) -> dict[str, float]:
    """Error rates, and the metrics of the user's own, of a decoded set.

    Args:
        rows: What was understood.
        name: Of the set: dev or test.
        metrics: The user's own.

    Returns:
        Corpus rates: test/wer, test/cer and, where decoded, test/ctc_wer, test/oracle_length_wer and so on,
        0.05 for 5 %; and each metric by its name.
    """
    kinds: dict[str, list[tuple[str, str | None]]] = {
        "": [(row.reference, row.hypothesis) for row in rows],
        "ctc_": [(row.reference, row.ctc_hypothesis) for row in rows],
        "oracle_length_": [(row.reference, row.oracle_hypothesis) for row in rows],
    }
    rates: dict[str, float] = {}
    for kind, pairs in kinds.items():
        known = [(said, heard) for said, heard in pairs if heard is not None]
        if known:
            rates[f"{name}/{kind}wer"] = error_rate(count_words(*pair) for pair in known)
            rates[f"{name}/{kind}cer"] = error_rate(count_characters(*pair) for pair in known)
    return rates | metric_values(metrics, [(row.reference, row.hypothesis) for row in rows], name)
