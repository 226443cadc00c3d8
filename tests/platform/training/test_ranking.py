from paraformer_platform.training.ranking import Ranking


def test_lower_is_better_and_earlier_of_equals() -> None:
    ranking = Ranking(keep=3)
    for epoch, score in enumerate([0.9, 0.5, 0.7, 0.5, 0.8], start=1):
        ranking.add(epoch, score)
    assert ranking.best == [2, 4, 3]
    assert ranking.epochs_without_progress() == 3


def test_goes_on_from_its_state() -> None:
    ranking = Ranking(keep=1)
    ranking.add(1, 0.4)
    other = Ranking(keep=1)
    other.load_state(ranking.to_state())
    other.add(2, 0.5)
    assert other.best == [1]
    assert ranking.scores == {1: 0.4}


def test_nothing_yet() -> None:
    assert Ranking(keep=2).best == []
    assert Ranking(keep=2).epochs_without_progress() == 0
