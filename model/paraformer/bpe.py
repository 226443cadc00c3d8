"""Byte-pair tokens learnt from transcripts with SentencePiece, behind the interface of `CharTokenizer`."""

import base64
import io
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import sentencepiece

from paraformer.errors import ConfigError, DataError
from paraformer.tokenizer import BOS, EOS, PAD, UNK, UNKNOWN_CHARACTER, load_tokenizer, save_tokenizer


class BpeTokenizer:
    """Byte-pair encoding (Sennrich et al. 2016).

    Args:
        model: SentencePiece's serialised model, with the special ids of `paraformer.tokenizer`.
        vocab_size: Number of ids; the logits are as wide as this even where fewer pieces were found.
    """

    kind = "bpe"
    pad_token_id, bos_token_id, eos_token_id, unk_token_id = PAD, BOS, EOS, UNK

    def __init__(self, model: bytes, vocab_size: int) -> None:
        self.vocab_size = vocab_size
        self._model = model
        self._pieces = sentencepiece.SentencePieceProcessor(model_proto=model)

    @classmethod
    def from_texts(cls, texts: Iterable[str], vocab_size: int) -> Self:
        """Learn the pieces of some texts.

        Args:
            texts: Usually the transcripts of the training set.
            vocab_size: Number of ids, special tokens and all single characters included.

        Raises:
            DataError: if there is no text to learn from.
            ConfigError: if not even the single characters fit.
        """
        sentences = [unicodedata.normalize("NFC", text) for text in texts if text.strip()]
        if not sentences:
            raise DataError("byte pairs are learnt from transcripts, but all of them are empty")
        written = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(sentences),
                model_writer=written,
                model_type="bpe",
                vocab_size=vocab_size,
                hard_vocab_limit=False,
                character_coverage=1.0,
                normalization_rule_name="identity",
                pad_id=PAD,
                bos_id=BOS,
                eos_id=EOS,
                unk_id=UNK,
                unk_surface=UNKNOWN_CHARACTER,
                minloglevel=2,
            )
        except RuntimeError as error:
            characters = len(set("".join(sentences)))
            raise ConfigError(
                f"vocab_size ({vocab_size}) is too small for byte pairs: the transcripts alone have "
                f"{characters} different characters, beside 4 special tokens ({error})"
            ) from error
        return cls(written.getvalue(), vocab_size)

    def encode(self, text: str, add_special: bool = True) -> list[int]:
        """Ids of a text's pieces; between BOS and EOS if `add_special`."""
        ids: list[int] = self._pieces.encode(unicodedata.normalize("NFC", text))
        return [BOS, *ids, EOS] if add_special else ids

    def decode(self, ids: Iterable[int]) -> str:
        """Text of ids. PAD, BOS, EOS and ids without a piece leave no trace; UNK becomes U+FFFD."""
        known = [int(token) for token in ids if int(token) < self._pieces.get_piece_size()]
        text: str = self._pieces.decode([token for token in known if token not in (PAD, BOS, EOS)])
        return text

    def unknown_characters(self, text: str) -> list[str]:
        """Characters of the text that no piece has, each once, in order of appearance."""
        return [c for c in dict.fromkeys(unicodedata.normalize("NFC", text)) if self._is_unknown(c)]

    def _is_unknown(self, character: str) -> bool:
        return not character.isspace() and UNK in self._pieces.encode(character)

    def to_state(self) -> dict[str, Any]:
        """SentencePiece's model as base64 text, for a checkpoint or a JSON file."""
        model = base64.b64encode(self._model).decode("ascii")
        return {"kind": self.kind, "vocab_size": self.vocab_size, "model": model}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Make the tokenizer that `to_state` described."""
        return cls(base64.b64decode(state["model"]), state["vocab_size"])

    def save(self, path: str | Path) -> None:
        """Write the pieces as JSON."""
        save_tokenizer(self, path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read pieces that `save` wrote.

        Raises:
            DataError: if the file is missing or holds another kind of tokenizer.
        """
        tokenizer = load_tokenizer(path)
        if not isinstance(tokenizer, cls):
            raise DataError(f"{path} holds a {type(tokenizer).__name__}, not a {cls.__name__}")
        return tokenizer
