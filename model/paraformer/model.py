"""The Paraformer: encoder, predictor and parallel decoder (Gao et al. 2022, arXiv:2206.08317).

Shapes: B batch, T feature frames, F features of a frame, T' encoder frames, U tokens, D width of the encoder,
V vocabulary.

::

    features ─ encoder ─ hidden ─┬─ predictor ─ weights ─┐
                                 ├───────── integrate and fire ─ queries ─ (sampler) ─┐
                                 ├──────────────────────────────────────────────── decoder ─ logits
                                 └─ CTC head ─ log-probabilities

Transcripts carry neither BOS nor EOS: the predictor counts the tokens. Token 0 is PAD and CTC's blank. The
autoregressive decoder, our reference, does without predictor and sampler and ends with EOS.

A session::

    model = Paraformer(vocab_size=100, feature_dim=80, hidden_dim=512)
    logits = model(features, tokens, feat_lens, token_lens)         # (B, U, V)
    encoder_out, predictor_out = model.eval().encode(features, feat_lens)
    transcripts = model.decode_greedy(encoder_out, predictor_out)   # one list of tokens for each utterance
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn

from paraformer.config import ModelConfig
from paraformer.decoder import ParallelDecoder, build_decoder
from paraformer.decoder_autoregressive import AutoregressiveDecoder
from paraformer.decoder_search import greedy_search
from paraformer.encoder import build_encoder
from paraformer.errors import ConfigError
from paraformer.padding import length_mask
from paraformer.predictor import EncodedFrames, Queries
from paraformer.predictor_choice import build_predictor
from paraformer.sampler import glance
from paraformer.tokenizer import EOS, PAD

_FEATURE_SHIFT_SECONDS = 0.01


@dataclass(frozen=True)
class TrainingPass:
    """What one forward pass with known transcripts gives to the losses."""

    logits: Tensor
    """`(B, U, V)`, or `(B, U + 1, V)` of the autoregressive decoder."""
    targets: Tensor
    """What the logits should have chosen, `(B, U)` or `(B, U + 1)`; PAD behind the end."""
    unaided: Tensor
    """What the decoder chose before the sampler showed it true tokens, alike in shape."""
    frames: EncodedFrames
    """The encoder's output, with CTC log-probabilities where the losses need them."""
    token_count: Tensor | None = None
    """The predictor's count of tokens, `(B,)`, where it learns to count."""


class Paraformer(nn.Module):
    """A non-autoregressive speech recogniser, every part of which can be switched.

    Args:
        vocab_size: Number of tokens, V, PAD included.
        feature_dim: Features of a frame, F.
        hidden_dim: Width of encoder and decoder, in place of those in `config`.
        config: Everything else; `ModelConfig()` if none.

    Raises:
        ConfigError: if the configuration is impossible; it names every fault.
    """

    def __init__(
        self,
        vocab_size: int,
        feature_dim: int = 80,
        hidden_dim: int | None = None,
        *,
        config: ModelConfig | None = None,
    ) -> None:
        super().__init__()
        self.config = _checked(_widened(config or ModelConfig(), hidden_dim))
        self.vocab_size, self.feature_dim = vocab_size, feature_dim
        self.encoder = build_encoder(self.config.encoder, feature_dim)
        width = self.encoder.output_dim
        self.ctc_head = nn.Linear(width, vocab_size)
        self.decoder = build_decoder(self.config.decoder, width, vocab_size)
        parallel = isinstance(self.decoder, ParallelDecoder)
        self.predictor = (
            build_predictor(self.config, width, self.decoder.hidden_dim, vocab_size) if parallel else None
        )
        self._freeze_unread()

    @classmethod
    def from_config(cls, config: ModelConfig, *, vocab_size: int, feature_dim: int) -> "Paraformer":
        """Make the model that a configuration describes."""
        return cls(vocab_size, feature_dim, config=config)

    @property
    def frame_shift_seconds(self) -> float:
        """Time from one encoder frame to the next, for features every 10 ms."""
        return self.encoder.subsampling * _FEATURE_SHIFT_SECONDS

    @property
    def is_autoregressive(self) -> bool:
        """Whether the decoder writes token by token."""
        return self.predictor is None

    def output_lengths(self, feat_lens: Tensor) -> Tensor:
        """Number of encoder frames of utterances of so many feature frames, `(B,)`."""
        return self.encoder.output_lengths(feat_lens)

    def forward(self, features: Tensor, tokens: Tensor, feat_lens: Tensor, token_lens: Tensor) -> Tensor:
        """Predict known transcripts: the pass of training, with the sampler while the model is training.

        Args:
            features: `(B, T, F)`.
            tokens: Transcripts without BOS and EOS, `(B, U)`.
            feat_lens: Number of real frames, `(B,)`.
            token_lens: Number of real tokens, `(B,)`.

        Returns:
            Logits `(B, U, V)`; those of padded positions mean nothing.
        """
        logits = self.training_pass(features, tokens, feat_lens, token_lens).logits
        return logits[:, : tokens.shape[1]]

    def training_pass(
        self, features: Tensor, tokens: Tensor, feat_lens: Tensor, token_lens: Tensor
    ) -> TrainingPass:
        """Everything that the losses need; arguments as of `forward`."""
        frames = self.encode_frames(features, feat_lens, ctc=self._reads_ctc())
        if isinstance(self.decoder, AutoregressiveDecoder):
            logits = self.decoder(tokens, token_lens, frames.hidden, frames.lengths)
            targets = self.decoder.targets(tokens, token_lens)
            return TrainingPass(logits, targets, logits.argmax(dim=2), frames)
        assert self.predictor is not None
        alphas = self.predictor.weigh_known(frames, tokens, token_lens)
        queries = self.predictor(frames, alphas, token_lens, tokens.shape[1])
        logits, unaided = self._write(queries, frames, tokens)
        count = self.predictor.count(alphas) if self.predictor.counts_tokens else None
        targets = tokens.masked_fill(~length_mask(token_lens, tokens.shape[1]), PAD)
        return TrainingPass(logits, targets, unaided, frames, count)

    def encode_frames(
        self, features: Tensor, feat_lens: Tensor | None = None, *, ctc: bool = False
    ) -> EncodedFrames:
        """Run the encoder, and with `ctc` or where the predictor reads it the CTC head too."""
        if feat_lens is None:
            feat_lens = torch.full((len(features),), features.shape[1], device=features.device)
        hidden, lengths = self.encoder(features, feat_lens)
        return self._with_ctc(EncodedFrames(hidden, lengths), ctc=ctc)

    def encode(self, features: Tensor, feat_lens: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Encode and weigh.

        Args:
            features: `(B, T, F)`.
            feat_lens: Number of real frames, `(B,)`; all of them if none.

        Returns:
            The encoder's output `(B, T', D)` and the weight of each frame `(B, T')`, whose sum is the number
            of tokens; both 0 at padding. With the autoregressive decoder all weights are 0.
        """
        frames = self.encode_frames(features, feat_lens)
        return frames.hidden, self.weigh(frames)

    def weigh(self, frames: EncodedFrames) -> Tensor:
        """Weight of each frame, `(B, T')`; with the autoregressive decoder all are 0."""
        if self.predictor is None:
            return frames.hidden.new_zeros(frames.hidden.shape[:2], dtype=torch.float32)
        return self.predictor.weigh(frames)

    def answer(
        self, frames: EncodedFrames, alphas: Tensor, target_lengths: Tensor | None = None
    ) -> tuple[Tensor, Queries]:
        """Decode in parallel: logits `(B, U, V)` in fp32 and the queries that they answer.

        Raises:
            ConfigError: if the decoder is autoregressive.
        """
        if self.predictor is None:
            raise ConfigError("decoder.kind is 'autoregressive', which cannot decode in parallel")
        queries = self.predictor(frames, alphas, target_lengths)
        logits = self.decoder(queries.embeddings, queries.lengths, frames.hidden, frames.lengths)
        return logits.float(), queries

    @torch.no_grad()
    def decode_greedy(
        self, encoder_out: Tensor, predictor_out: Tensor, max_len: int = 100
    ) -> list[list[int]]:
        """Choose the most probable token at each position.

        Args:
            encoder_out: From `encode`, `(B, T', D)`.
            predictor_out: From `encode`, `(B, T')`.
            max_len: Most tokens of a transcript.
        """
        frames = self._recover(encoder_out)
        if isinstance(self.decoder, AutoregressiveDecoder):
            found = greedy_search(self.decoder, frames.hidden, frames.lengths, max_len)
            return [transcript.tokens for transcript in found]
        logits, queries = self.answer(frames, predictor_out)
        lengths = queries.lengths.clamp(max=max_len).tolist()
        chosen = never_pad(logits).argmax(dim=2).tolist()
        return [row[:length] for row, length in zip(chosen, lengths, strict=True)]

    @torch.no_grad()
    def decode_step(
        self, encoder_out: Tensor, predictor_out: Tensor, tokens: Sequence[int] | Tensor
    ) -> Tensor:
        """Logits of what may stand at every position up to the one after `tokens`, `(B, L, V)`.

        For loops written for decoders that go step by step: `[:, -1]` is the next token. The parallel decoder
        does not look at `tokens` but at their number; behind the last position EOS is certain.

        Args:
            encoder_out: From `encode`, `(B, T', D)`.
            predictor_out: From `encode`, `(B, T')`.
            tokens: BOS and the tokens so far: L numbers, or `(B, L)`.
        """
        frames = self._recover(encoder_out)
        so_far = torch.as_tensor(tokens, device=encoder_out.device).expand(len(encoder_out), -1)
        if isinstance(self.decoder, AutoregressiveDecoder):
            sizes = torch.full((len(so_far),), so_far.shape[1] - 1, device=so_far.device)
            return self.decoder(so_far[:, 1:], sizes, frames.hidden, frames.lengths).float()
        logits, queries = self.answer(frames, predictor_out)
        steps = torch.full((*so_far.shape, self.vocab_size), -torch.inf, device=logits.device)
        steps[:, :, EOS] = 0.0
        known = min(so_far.shape[1], logits.shape[1])
        inside = length_mask(queries.lengths, known).unsqueeze(2)
        steps[:, :known] = torch.where(inside, logits[:, :known], steps[:, :known])
        return steps

    def _write(self, queries: Queries, frames: EncodedFrames, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the transcripts `(B, U)`, and what was chosen without help: two passes if glancing."""
        decoder, ratio = cast("ParallelDecoder", self.decoder), self.config.sampler.ratio
        where = (queries.lengths, frames.hidden, frames.lengths, decoder.project_memory(frames.hidden))
        if not self.training or ratio == 0:
            logits = decoder(queries.embeddings, *where)
            return logits, logits.argmax(dim=2)
        with torch.no_grad(), _evaluating(decoder):
            unaided = decoder(queries.embeddings, *where).argmax(dim=2)
        mask = length_mask(queries.lengths, tokens.shape[1])
        shown = glance(queries.embeddings, decoder.token_embedding(tokens), unaided != tokens, mask, ratio)
        return decoder(shown, *where), unaided

    def _reads_ctc(self) -> bool:
        return self.config.loss.ctc_weight > 0

    def _with_ctc(self, frames: EncodedFrames, *, ctc: bool) -> EncodedFrames:
        if not ctc and (self.predictor is None or not self.predictor.needs_posteriors):
            return frames
        return replace(frames, ctc_log_probs=self.ctc_head(frames.hidden).float().log_softmax(dim=2))

    def _recover(self, encoder_out: Tensor) -> EncodedFrames:
        """Frames of which only the encoder's output is left: it is all zeros at padding, and only there."""
        place = torch.arange(1, encoder_out.shape[1] + 1, device=encoder_out.device)
        lengths = ((encoder_out != 0).any(dim=2) * place).amax(dim=1)
        return self._with_ctc(EncodedFrames(encoder_out, lengths), ctc=False)

    def _freeze_unread(self) -> None:
        """Mark what no loss reaches as untrained: DistributedDataParallel waits for every gradient."""
        if not self.is_autoregressive and self.config.sampler.ratio == 0:
            self.decoder.token_embedding.requires_grad_(False)
        if not self._reads_ctc():
            self.ctc_head.requires_grad_(False)


def never_pad(logits: Tensor) -> Tensor:
    """Logits `(…, V)` with PAD made impossible: where the predictor fires there is a token."""
    return torch.cat([torch.full_like(logits[..., :1], -torch.inf), logits[..., 1:]], dim=-1)


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    module.eval()
    try:
        yield
    finally:
        module.train()


def _widened(config: ModelConfig, hidden_dim: int | None) -> ModelConfig:
    if hidden_dim is None:
        return config
    return replace(
        config,
        encoder=replace(config.encoder, hidden_dim=hidden_dim),
        decoder=replace(config.decoder, hidden_dim=hidden_dim),
    )


def _checked(config: ModelConfig) -> ModelConfig:
    faults = config.faults()
    if faults:
        raise ConfigError("this model cannot be built:\n" + "\n".join(f"  {fault}" for fault in faults))
    return config
