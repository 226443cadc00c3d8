"""What cannot be, said at once: workers that come and go, and the batch that they share."""

import pytest

from paraformer.errors import ConfigError
from paraformer_platform.config.conversion import config_from_dict, config_to_dict


def faults(**parts: dict[str, object]) -> str:
    with pytest.raises(ConfigError) as found:
        config_from_dict(parts)
    return str(found.value)


def test_an_elastic_number_of_workers_comes_through_plain_data() -> None:
    plain = {"resources": {"workers": [2, 4]}, "training": {"batch_size": 24}}
    config = config_from_dict(plain)
    assert config.resources.workers == (2, 4)
    assert (config.resources.least_workers, config.resources.most_workers) == (2, 4)
    assert config_from_dict(config_to_dict(config)) == config
    one = config_from_dict({"resources": {"workers": 2}})
    assert (one.resources.least_workers, one.resources.most_workers) == (2, 2)


@pytest.mark.parametrize(
    ("workers", "words"),
    [
        ([2], r"workers ([2]) must be a number or [least, most]"),
        ([4, 2], "workers ([4, 2]): the least must not be above the most"),
        ([0, 2], "workers ([0, 2]) must be at least 1"),
        (0, "workers (0) must be at least 1"),
        ("two", "resources.workers: must be a whole number, not 'two'"),
    ],
)
def test_impossible_numbers_of_workers(workers: object, words: str) -> None:
    assert words in faults(resources={"workers": workers})


def test_the_batch_must_be_shared_evenly_at_every_size() -> None:
    found = faults(resources={"workers": [2, 6], "gpus_per_worker": -1}, training={"batch_size": 24})
    # lcm(2, 3, 4, 5, 6) = 60, and 24 is divisible by all of these but 5.
    assert (
        "training.batch_size: batch_size (24) must be divisible by resources.workers ([2, 6]) "
        "at every size between, but 5 leaves a remainder; multiples of 60 do not"
    ) in found
    assert "gpus_per_worker (-1.0) must be at least 0" in found  # all faults at once
    assert "batch_size (16) must be divisible by resources.workers (3)" in faults(resources={"workers": 3})


def test_one_process_does_not_train_with_several_workers() -> None:
    found = faults(resources={"workers": 2, "execution": "in_trial"})
    assert "execution (in_trial) trains in one process, workers is 2" in found
