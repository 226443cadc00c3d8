import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paraformer.errors import ConfigError, DataError
from paraformer.tokenizer import (
    CharTokenizer,
    Tokenizer,
    load_tokenizer,
    make_tokenizer,
    tokenizer_from_state,
)


def test_hello_is_framed_by_bos_and_eos_and_comes_back():
    tokenizer = CharTokenizer(vocab_size=100)
    tokens = tokenizer.encode("hello")
    assert tokens[0] == tokenizer.bos_token_id
    assert tokens[-1] == tokenizer.eos_token_id
    assert len(tokens) == 7
    assert tokens[3] == tokens[4]  # both l
    assert tokenizer.decode(tokens) == "hello"


def test_the_default_vocabulary_holds_all_printable_ascii_within_100_ids():
    tokenizer = CharTokenizer()
    printable = string.digits + string.ascii_letters + string.punctuation + " "
    assert tokenizer.unknown_characters(printable) == []
    assert max(tokenizer.encode(printable)) < tokenizer.vocab_size == 100


def test_a_small_default_vocabulary_keeps_what_transcripts_need():
    assert CharTokenizer(vocab_size=32).unknown_characters("what's that") == []
    assert CharTokenizer(vocab_size=32).unknown_characters("a1!1") == ["1", "!"]


@given(st.text(alphabet=string.printable[:95]))
def test_ascii_round_trip(text):
    tokenizer = CharTokenizer()
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.decode(tokenizer.encode(text, add_special=False)) == text


def test_ordinary_ids_never_collide_with_padding_which_is_the_blank_of_ctc():
    tokenizer = CharTokenizer()
    ids = tokenizer.encode(string.printable[:95], add_special=False)
    assert min(ids) > max(tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id)
    assert tokenizer.pad_token_id == 0


def test_unknown_characters_decode_to_a_visible_mark():
    tokenizer = CharTokenizer()
    assert tokenizer.unknown_characters("naïve 气气") == ["ï", "气"]
    assert tokenizer.decode(tokenizer.encode("naïve")) == "na�ve"


def test_decode_survives_every_id():
    tokenizer = CharTokenizer(vocab_size=200)
    assert len(tokenizer.decode(range(200))) == 95 + 1  # each character, and UNK's mark


def test_mandarin_from_texts_with_the_most_frequent_first():
    tokenizer = CharTokenizer.from_texts(["脑力", "力气", "力"])
    assert tokenizer.vocab_size == 4 + 3
    assert tokenizer.characters[0] == "力"
    assert tokenizer.decode(tokenizer.encode("气力")) == "气力"


def test_composed_and_decomposed_characters_are_the_same():
    tokenizer = CharTokenizer.from_texts(["caf\N{LATIN SMALL LETTER E WITH ACUTE}"])
    assert tokenizer.unknown_characters("cafe\N{COMBINING ACUTE ACCENT}") == []


def test_rare_characters_give_way_in_a_vocabulary_that_is_too_small():
    tokenizer = CharTokenizer.from_texts(["aaa", "bb", "c"], vocab_size=6)
    assert tokenizer.unknown_characters("abc") == ["c"]


@pytest.mark.parametrize("kind", ["char", "char_from_texts", "bpe"])
def test_every_kind_survives_a_file_and_a_checkpoint(kind, tmp_path):
    tokenizer = make_tokenizer(kind, ["one two three", "four five six"], 40)
    assert isinstance(tokenizer, Tokenizer)
    tokenizer.save(tmp_path / "tokens.json")
    for copy in (load_tokenizer(tmp_path / "tokens.json"), tokenizer_from_state(tokenizer.to_state())):
        assert type(copy) is type(tokenizer)
        assert copy.vocab_size == tokenizer.vocab_size == 40
        assert copy.encode("two six") == tokenizer.encode("two six")


def test_a_class_of_the_user_is_found_by_import_path(tmp_path, monkeypatch):
    (tmp_path / "shouting.py").write_text(
        "from paraformer.tokenizer import CharTokenizer\n"
        "class Shouting(CharTokenizer):\n"
        "    kind = 'shouting:Shouting'\n"
        "    def encode(self, text, add_special=True):\n"
        "        return super().encode(text.upper(), add_special)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    tokenizer = make_tokenizer("shouting:Shouting", ["ABC"], 20)
    again = tokenizer_from_state(tokenizer.to_state())
    assert again.decode(again.encode("abc")) == "ABC"


def test_faults_name_both_values_and_the_remedy(tmp_path):
    with pytest.raises(ConfigError, match=r"vocab_size \(4\) must be at least 5"):
        CharTokenizer(vocab_size=4)
    with pytest.raises(ConfigError, match=r"holds 2 characters .* but 3 are given; set it to 7"):
        CharTokenizer(vocab_size=6, characters="abc")
    with pytest.raises(ConfigError, match="is 'words', but must be 'char', 'char_from"):
        make_tokenizer("words", [], 10)
    with pytest.raises(ConfigError, match="cannot be imported"):
        make_tokenizer("no_such_module:Tokenizer", [], 10)
    with pytest.raises(DataError, match="there is no tokenizer at"):
        CharTokenizer.load(tmp_path / "missing.json")
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(DataError, match="it has no 'kind'"):
        CharTokenizer.load(tmp_path / "list.json")
