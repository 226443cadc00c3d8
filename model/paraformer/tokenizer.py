"""Text to token ids and back.

Every tokenizer has the same four special tokens. Id 0 pads a batch and is the blank of CTC, so it never
stands for text:

====  =======  ==========================================================
id    token    meaning
====  =======  ==========================================================
0     PAD      padding, and the blank of CTC
1     BOS      beginning of a sentence (autoregressive decoding only)
2     EOS      end of a sentence (autoregressive decoding only)
3     UNK      a character that the vocabulary does not have
====  =======  ==========================================================

Training targets are encoded with `add_special=False`: the Paraformer's decoder is parallel and counts tokens
with its predictor, so a target carries neither BOS nor EOS.
"""

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

from paraformer.errors import ConfigError, DataError
from paraformer.import_path import import_part

PAD, BOS, EOS, UNK = 0, 1, 2, 3
NUM_SPECIAL = 4
UNKNOWN_CHARACTER = "\N{REPLACEMENT CHARACTER}"
"""What UNK is decoded to, so that it counts as an error and is seen."""

DEFAULT_CHARACTERS = (
    " abcdefghijklmnopqrstuvwxyz'0123456789-.,?!:;\"()&%$@#*+/<=>[]^_`{|}~\\ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)
"""The printable ASCII characters, those of plain transcripts first: a small vocabulary keeps them."""


@runtime_checkable
class Tokenizer(Protocol):
    """What the rest of the package asks of a tokenizer; a user's own class satisfies it too."""

    pad_token_id: int
    bos_token_id: int
    eos_token_id: int
    unk_token_id: int

    @property
    def vocab_size(self) -> int:
        """Number of ids, which is the width of the model's logits."""

    def encode(self, text: str, add_special: bool = True) -> list[int]:
        """Ids of a text, between BOS and EOS if `add_special`."""

    def decode(self, ids: Iterable[int]) -> str:
        """Text of ids; special tokens leave no trace, except UNK."""

    def unknown_characters(self, text: str) -> list[str]:
        """Characters of the text that would become UNK, each once."""

    def to_state(self) -> dict[str, Any]:
        """Everything `tokenizer_from_state` needs, as plain values; its `kind` says which class."""


class CharTokenizer:
    """One token per Unicode character (NFC), Mandarin as well as English.

    Args:
        vocab_size: Number of ids, special tokens included; the logits are as wide as this even where there
            are fewer characters.
        characters: The characters in the order of their ids, from id 4 on; by default printable ASCII, as
            many as fit.

    Raises:
        ConfigError: if the characters do not fit or repeat.
    """

    kind = "char"
    pad_token_id, bos_token_id, eos_token_id, unk_token_id = PAD, BOS, EOS, UNK

    def __init__(self, vocab_size: int = 100, characters: Sequence[str] | None = None) -> None:
        room = vocab_size - NUM_SPECIAL
        if room < 1:
            raise ConfigError(
                f"vocab_size ({vocab_size}) must be at least {NUM_SPECIAL + 1}: "
                f"{NUM_SPECIAL} special tokens and one character"
            )
        chosen = DEFAULT_CHARACTERS[:room] if characters is None else characters
        if len(chosen) > room:
            raise ConfigError(
                f"vocab_size ({vocab_size}) holds {room} characters beside {NUM_SPECIAL} special tokens, "
                f"but {len(chosen)} are given; set it to {len(chosen) + NUM_SPECIAL} or more"
            )
        if len(set(chosen)) != len(chosen):
            raise ConfigError("the characters of a vocabulary must differ from one another")
        self.vocab_size = vocab_size
        self.characters = tuple(chosen)
        self._ids = {character: NUM_SPECIAL + n for n, character in enumerate(self.characters)}

    @classmethod
    def from_texts(cls, texts: Iterable[str], vocab_size: int | None = None) -> Self:
        """Make the vocabulary of some texts: their characters, the most frequent first.

        Args:
            texts: Usually the transcripts of the training set.
            vocab_size: Number of ids; characters that do not fit become UNK, the rarest first. By default
                as large as the texts need.
        """
        counts = Counter(character for text in texts for character in unicodedata.normalize("NFC", text))
        ordered = sorted(counts, key=lambda character: (-counts[character], character))
        size = max(len(ordered), 1) + NUM_SPECIAL if vocab_size is None else vocab_size
        return cls(size, ordered[: max(size - NUM_SPECIAL, 0)])

    def encode(self, text: str, add_special: bool = True) -> list[int]:
        """Ids of a text, one per character; between BOS and EOS if `add_special`."""
        ids = [self._ids.get(character, UNK) for character in unicodedata.normalize("NFC", text)]
        return [BOS, *ids, EOS] if add_special else ids

    def decode(self, ids: Iterable[int]) -> str:
        """Text of ids. PAD, BOS, EOS and ids without a character leave no trace; UNK becomes U+FFFD."""
        return "".join(self._character(int(token)) for token in ids)

    def _character(self, token: int) -> str:
        if token == UNK:
            return UNKNOWN_CHARACTER
        index = token - NUM_SPECIAL
        return self.characters[index] if 0 <= index < len(self.characters) else ""

    def unknown_characters(self, text: str) -> list[str]:
        """Characters of the text that the vocabulary does not have, each once, in order of appearance."""
        return [c for c in dict.fromkeys(unicodedata.normalize("NFC", text)) if c not in self._ids]

    def to_state(self) -> dict[str, Any]:
        """The vocabulary as plain values, for a checkpoint or a JSON file."""
        return {"kind": self.kind, "vocab_size": self.vocab_size, "characters": list(self.characters)}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Make the tokenizer that `to_state` described."""
        return cls(state["vocab_size"], state["characters"])

    def save(self, path: str | Path) -> None:
        """Write the vocabulary as JSON."""
        save_tokenizer(self, path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a vocabulary that `save` wrote.

        Raises:
            DataError: if the file is missing or is not a vocabulary of characters.
        """
        tokenizer = load_tokenizer(path)
        if not isinstance(tokenizer, cls):
            raise DataError(f"{path} holds a {type(tokenizer).__name__}, not a {cls.__name__}")
        return tokenizer


def make_tokenizer(kind: str, texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """Make the tokenizer that a configuration names.

    Args:
        kind: `char` for the printable ASCII characters; `char_from_texts` for the characters of the texts
            (Mandarin, say); `bpe` for byte pairs learnt from the texts; or an import path
            `package.module:Class` of a class with `from_texts(texts, vocab_size)`.
        texts: Transcripts of the training set.
        vocab_size: Number of ids.

    Raises:
        ConfigError: if there is no such tokenizer.
    """
    if kind == "char":
        return CharTokenizer(vocab_size)
    made: Tokenizer = _tokenizer_class(kind).from_texts(texts, vocab_size)
    return made


def tokenizer_from_state(state: Mapping[str, Any]) -> Tokenizer:
    """Make the tokenizer that `to_state` described, whichever class it was.

    Raises:
        ConfigError: if its class does not exist here.
    """
    made: Tokenizer = _tokenizer_class(state["kind"]).from_state(state)
    return made


def save_tokenizer(tokenizer: Tokenizer, path: str | Path) -> None:
    """Write any tokenizer as JSON."""
    text = json.dumps(tokenizer.to_state(), ensure_ascii=False, indent=1)
    Path(path).write_text(text + "\n", encoding="utf-8")


def load_tokenizer(path: str | Path) -> Tokenizer:
    """Read a tokenizer that `save_tokenizer` wrote.

    Raises:
        DataError: if the file is missing or is no tokenizer's.
    """
    try:
        state = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(
            f"there is no tokenizer at {path}; training writes one, or CharTokenizer.save"
        ) from error
    except ValueError as error:
        raise DataError(f"{path} is not a tokenizer's JSON: {error}") from error
    if not isinstance(state, dict) or "kind" not in state:
        raise DataError(f"{path} is JSON, but not a tokenizer's: it has no 'kind'")
    return tokenizer_from_state(state)


def _tokenizer_class(kind: str) -> Any:
    """Class of a kind: ours by name, a user's by import path."""
    if kind in ("char", "char_from_texts"):
        return CharTokenizer
    if kind == "bpe":
        from paraformer.bpe import BpeTokenizer

        return BpeTokenizer
    return import_part(kind, "tokenizer", "'char', 'char_from_texts', 'bpe'")
