"""The predictor of a model, looked at with real recordings."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import matplotlib.image
import pytest
from torch import Tensor

from paraformer.errors import ConfigError, DataError
from paraformer_platform.inspection.firing import draw_firing, observe_firing
from paraformer_platform.training.recogniser import Recogniser


@pytest.mark.parametrize("kind", ["cif", "ctc_compress", "uniform"])
def test_weights_firings_and_tokens_agree(
    recogniser: Callable[..., Recogniser], wave: Tensor, kind: str
) -> None:
    model = recogniser(f"model.predictor.kind={kind}")
    seen = observe_firing(model, wave)
    assert seen.count == pytest.approx(float(seen.alphas.sum()), abs=1e-4)
    assert abs(len(seen.fires) - seen.count) <= 0.5 + 1e-4
    assert len(seen.tokens) == len(seen.fires) > 0
    assert all(earlier < later for earlier, later in pairwise(seen.fires))
    assert seen.fires[-1] <= len(seen.alphas) * seen.frame_shift + 1e-6
    assert "".join(seen.tokens) == model.transcribe([wave])[0].text


def test_a_token_fires_where_the_weights_have_summed_to_it(
    recogniser: Callable[..., Recogniser], wave: Tensor
) -> None:
    seen = observe_firing(recogniser(), wave)
    for number, time in enumerate(seen.fires[:-1], start=1):
        frame = int(time / seen.frame_shift)
        assert float(seen.alphas[:frame].sum()) <= number + 1e-4
        assert float(seen.alphas[: frame + 1].sum()) >= number - 1e-4


def test_the_transcript_is_aligned_in_its_order(recogniser: Callable[..., Recogniser], wave: Tensor) -> None:
    seen = observe_firing(recogniser(), wave, "one")
    assert [spoken.text for spoken in seen.spoken] == ["o", "n", "e"]
    for spoken in seen.spoken:
        assert 0 <= spoken.start < spoken.end <= len(seen.alphas) * seen.frame_shift + 1e-6
    assert all(one.end <= other.start + 1e-9 for one, other in pairwise(seen.spoken))


@pytest.mark.parametrize(
    ("override", "transcript"),
    [("model.loss.ctc_weight=0", "one"), ("model.loss.ctc_weight=0.3", "one two three " * 20)],
    ids=["no CTC", "more tokens than frames"],
)
def test_without_a_path_there_is_no_alignment(
    recogniser: Callable[..., Recogniser], wave: Tensor, override: str, transcript: str
) -> None:
    assert observe_firing(recogniser(override), wave, transcript).spoken == []


def test_what_cannot_be_looked_at(recogniser: Callable[..., Recogniser], wave: Tensor) -> None:
    with pytest.raises(DataError, match="characters that this model does not know: 語"):
        observe_firing(recogniser(), wave, "one語")
    with pytest.raises(ConfigError, match="no predictor to look at"):
        observe_firing(recogniser("model.decoder.kind=autoregressive"), wave)


def test_the_picture(recogniser: Callable[..., Recogniser], wave: Tensor, tmp_path: Path) -> None:
    path = tmp_path / "new" / "predictor.png"
    draw_firing(observe_firing(recogniser(), wave, "two"), path)
    picture = matplotlib.image.imread(path)
    height, width = picture.shape[:2]
    assert width > 1.5 * height
    upper = picture[: height // 3, ..., :3]  # the features, in many colours
    assert upper.std() > 0.1
