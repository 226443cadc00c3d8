import numpy as np
import pytest

from paraformer.grammar import Grammar

DIGITS = ["zero", "one", "two"]


def sentences(grammar, count=300, seed=0):
    rng = np.random.default_rng(seed)
    return [grammar.sentence(rng) for _ in range(count)]


def test_repeats_keep_within_their_limits_and_reach_them():
    grammar = Grammar.from_rules("all", {"all": ["<digit>[2,4]"], "digit": DIGITS})
    lengths = {len(sentence.split()) for sentence in sentences(grammar)}
    assert lengths == {2, 3, 4}
    assert {word for sentence in sentences(grammar) for word in sentence.split()} == set(DIGITS)


def test_alternatives_are_drawn_evenly():
    made = sentences(Grammar.from_rules("digit", {"digit": DIGITS}), 3000)
    for digit in DIGITS:
        # 1000 expected, standard deviation 26
        assert 870 < made.count(digit) < 1130


def test_rules_nest_and_words_are_single_spaced():
    rules = {"command": ["call  <name> <digit>[0,1] now"], "name": ["new <digit>"], "digit": ["one"]}
    assert set(sentences(Grammar.from_rules("command", rules))) == {
        "call new one now",
        "call new one one now",
    }


def test_numbers_in_yaml_are_words():
    assert Grammar.from_rules("n", {"n": [7]}).rules == {"n": ("7",)}


def test_the_same_seed_gives_the_same_sentences():
    grammar = Grammar.from_rules("all", {"all": ["<digit>[1,5]"], "digit": DIGITS})
    assert sentences(grammar, seed=3) == sentences(grammar, seed=3) != sentences(grammar, seed=4)


@pytest.mark.parametrize(
    ("start", "rules", "message"),
    [
        ("b", {"a": ["x"]}, "start: must be one of the rules (a), but is 'b'"),
        ("a", {"a": ["<c>"]}, "rules.a: '<c>' refers to <c>, but the rules are a"),
        ("a", {"a": ["<b>[3,2]"], "b": ["x"]}, "rules.a: '<b>[3,2]' repeats <b>[3,2], but the least must"),
        ("a", {"a": []}, "rules.a: must have at least one alternative"),
        ("a", {"a": ["x <b>"], "b": ["<a>"]}, "rules.a: must not contain itself, directly or through others"),
    ],
)
def test_faults(start, rules, message):
    assert any(str(fault).startswith(message) for fault in Grammar.from_rules(start, rules).faults())


def test_a_good_grammar_has_no_faults():
    assert Grammar.from_rules("a", {"a": ["<b>[0,3] <b>"], "b": ["x", "y"]}).faults() == []
