"""Two metrics of one's own beside the error rates.

Name them in an experiment, or on the command line, from the folder that holds `examples/`::

    --override 'decoding.metrics=[examples.keywords:exact_match, examples.keywords:number_recall]'

A metric is a function of a reference and a hypothesis. Both come as `dev/…` after every epoch and `test/…` at
the end, and as columns of `results/test.csv`, one row for each utterance.
"""

NUMBERS = frozenset(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])


def exact_match(reference: str, hypothesis: str) -> float:
    """Whether the whole sentence is right: a number, whose mean over the utterances is reported."""
    return float(hypothesis.split() == reference.split())


def number_recall(reference: str, hypothesis: str) -> tuple[float, float]:
    """How many of the spoken numbers are found, and how many there are.

    Of two numbers all the first are divided by all the second, so that a long utterance counts for more than
    a short one, as it does in a word error rate.
    """
    left = hypothesis.split()
    found = 0
    for word in reference.split():
        if word in NUMBERS and word in left:
            left.remove(word)
            found += 1
    return found, sum(word in NUMBERS for word in reference.split())
