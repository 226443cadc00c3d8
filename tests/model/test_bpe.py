import pytest

from paraformer.bpe import BpeTokenizer
from paraformer.errors import ConfigError, DataError

TEXTS = ["one two three", "four five six seven", "eight nine zero", "seven seven nine"]


def test_text_comes_back_and_frequent_words_become_few_tokens():
    tokenizer = BpeTokenizer.from_texts(TEXTS, 60)
    ids = tokenizer.encode("seven nine four")
    assert ids[0] == tokenizer.bos_token_id
    assert ids[-1] == tokenizer.eos_token_id
    assert len(ids) < len("seven nine four") / 2
    assert tokenizer.decode(ids) == "seven nine four"


def test_the_special_ids_are_those_of_every_tokenizer():
    tokenizer = BpeTokenizer.from_texts(TEXTS, 60)
    ordinary = tokenizer.encode(" ".join(TEXTS), add_special=False)
    assert 4 <= min(ordinary) <= max(ordinary) < tokenizer.vocab_size


def test_a_vocabulary_larger_than_the_texts_need_keeps_its_width():
    tokenizer = BpeTokenizer.from_texts(TEXTS, 500)
    assert tokenizer.vocab_size == 500
    assert tokenizer.decode(range(500))  # ids without a piece leave no trace


def test_unknown_characters_are_named_and_seen():
    tokenizer = BpeTokenizer.from_texts(TEXTS, 60)
    assert tokenizer.unknown_characters("nine é 9") == ["é", "9"]
    assert tokenizer.decode(tokenizer.encode("niné")) == "nin�"


def test_mandarin():
    tokenizer = BpeTokenizer.from_texts(["脑力劳动", "劳动力", "动力"], 30)
    assert tokenizer.decode(tokenizer.encode("劳动脑力")) == "劳动脑力"


def test_learning_twice_gives_the_same_pieces():
    assert BpeTokenizer.from_texts(TEXTS, 60).to_state() == BpeTokenizer.from_texts(TEXTS, 60).to_state()


def test_faults():
    with pytest.raises(ConfigError, match=r"vocab_size \(6\) is too small .* 8 different characters"):
        BpeTokenizer.from_texts(["one two three"], 6)
    with pytest.raises(DataError, match="all of them are empty"):
        BpeTokenizer.from_texts([" ", ""], 60)
