import numpy as np
import pytest
import soundfile
import torch

from paraformer.augment import AugmentConfig
from paraformer.dataset import AudioDataset, SpeechDataset, check_vocabulary, collate, leave_out_long
from paraformer.errors import DataError
from paraformer.features import FeatureConfig, FeatureExtractor
from paraformer.manifest import read_manifest
from paraformer.tokenizer import CharTokenizer

TEXTS = ["one two", "three", "four five six"]
AUGMENT = AugmentConfig(
    speeds=(0.9, 1.0, 1.1), gain_db=(-6, 6), noise_snr_db=(5, 20), time_masks=2, frequency_masks=2
)


@pytest.fixture
def corpus(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(len(TEXTS)):
        samples = 0.1 * rng.standard_normal(8000 * (number + 1))
        soundfile.write(tmp_path / f"{number}.flac", samples, 16000)
    lines = [f"{number}.flac\t{text}\n" for number, text in enumerate(TEXTS)]
    (tmp_path / "train.tsv").write_text("".join(lines))
    return tmp_path


def speech(corpus, **options):
    utterances = read_manifest(corpus / "train.tsv")
    return SpeechDataset(utterances, CharTokenizer(), FeatureExtractor(), **options)


def test_an_item_is_features_and_tokens_without_bos_and_eos(corpus):
    item = speech(corpus)[2]
    assert item.features.shape == (item.feat_len, 80)
    assert item.tokens.tolist() == CharTokenizer().encode("four five six", add_special=False)
    assert item.token_len == 13
    assert item.id == "2"


def test_the_frames_of_the_headers_are_those_of_the_features(corpus):
    dataset = speech(corpus)
    assert dataset.frames() == [dataset[index].feat_len for index in range(3)]


def test_a_batch_holds_its_members_unchanged_and_zeros_beyond_them(corpus):
    dataset = speech(corpus)
    items = [dataset[index] for index in range(3)]
    batch = collate(items)
    assert batch.ids == ["0", "1", "2"]
    assert len(batch) == 3
    assert batch.features.shape == (3, max(batch.feat_lens), 80)
    for row, item in enumerate(items):
        assert torch.equal(batch.features[row, : item.feat_len], item.features)
        assert not batch.features[row, item.feat_len :].any()
        assert torch.equal(batch.tokens[row, : item.token_len], item.tokens)
        assert not batch.tokens[row, item.token_len :].any()  # PAD is 0
    assert batch.to("cpu").tokens.equal(batch.tokens)


def test_normalisation_gives_mean_0_and_deviation_1_over_the_training_set(corpus):
    cmvn = speech(corpus).estimate_cmvn()
    dataset = speech(corpus, cmvn=cmvn)
    frames = torch.cat([dataset[index].features for index in range(3)])
    torch.testing.assert_close(frames.mean(0), torch.zeros(80), atol=1e-4, rtol=0)
    torch.testing.assert_close(frames.std(0), torch.ones(80), atol=1e-2, rtol=0)


@pytest.mark.parametrize("augment", [AUGMENT, AugmentConfig(time_masks=2, frequency_masks=2)])
def test_augmentation_depends_on_seed_epoch_and_utterance_alone(corpus, augment):
    once, again = speech(corpus, augment=augment), speech(corpus, augment=augment, memory_bytes=0)
    plain = speech(corpus)
    once.set_epoch(4)
    again.set_epoch(9)
    again[0]
    again.set_epoch(4)
    for index in (2, 0, 1):
        assert torch.equal(once[index].features, again[index].features)
        assert not torch.equal(once[index].features, plain[index].features)
    fourth = once[2].features
    once.set_epoch(5)
    assert not torch.equal(once[2].features, fourth)
    other_seed = speech(corpus, augment=augment, seed=1)
    other_seed.set_epoch(4)
    assert not torch.equal(other_seed[2].features, fourth)


def test_the_frames_of_an_epoch_are_those_after_the_change_of_speed(corpus):
    dataset = speech(corpus, augment=AUGMENT)
    seen = set()
    for epoch in range(6):
        dataset.set_epoch(epoch)
        frames = dataset.frames(epoch)
        assert frames == [dataset[index].feat_len for index in range(3)]
        seen.add(tuple(frames))
    assert len(seen) > 2


def test_silence_is_added_with_empty_transcripts_and_sounds_new_in_every_epoch(corpus):
    dataset = speech(corpus, augment=AugmentConfig(silence_share=1.0))
    assert len(dataset) == 6
    assert [utterance.id for utterance in dataset.utterances[3:]] == [f"silence-{n:05d}" for n in range(3)]
    batch = collate([dataset[index] for index in range(6)])
    assert batch.token_lens.tolist()[3:] == [0, 0, 0]
    assert dataset.frames(0) == batch.feat_lens.tolist()
    first = dataset[4].features
    assert torch.equal(first, speech(corpus, augment=AugmentConfig(silence_share=1.0))[4].features)
    dataset.set_epoch(1)
    assert not torch.equal(first, dataset[4].features)
    assert collate([dataset[3], dataset[4]]).tokens.shape == (2, 0)


def test_noise_may_come_from_a_folder(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("noise")
    soundfile.write(folder / "tone.wav", np.sin(np.arange(16000) * 2 * np.pi * 3000 / 16000), 16000)
    augment = AugmentConfig(noise_snr_db=(-30.0, -30.0), noise_folder=str(folder))
    features = speech(corpus, augment=augment)[0].features
    louder = (features - speech(corpus)[0].features).mean(dim=0)
    assert louder.argmax() in range(48, 66)  # the mel bins around 3 kHz
    assert louder.max() > louder[:30].max() + 3


def test_dither_is_for_training_only(corpus):
    dithered = FeatureExtractor(FeatureConfig(dither=1.0))
    utterances = read_manifest(corpus / "train.tsv")
    evaluation = SpeechDataset(utterances, CharTokenizer(), dithered)
    training = SpeechDataset(utterances, CharTokenizer(), dithered, augment=AugmentConfig())
    assert torch.equal(evaluation[0].features, speech(corpus)[0].features)
    assert not torch.equal(training[0].features, evaluation[0].features)


@pytest.mark.parametrize("augment", [None, AUGMENT])
def test_memory_spares_reading_again_as_long_as_it_has_room(corpus, augment):
    keeps, forgets = speech(corpus, augment=augment), speech(corpus, augment=augment, memory_bytes=10)
    first = [keeps[0].features, forgets[0].features]
    (corpus / "0.flac").unlink()
    assert torch.equal(keeps[0].features, first[0])
    with pytest.raises(DataError, match=r"train\.tsv:1: there is no audio file .*0\.flac"):
        forgets[0]


def test_the_tutorials_data_set_gives_four_values(corpus):
    tokenizer = CharTokenizer(vocab_size=100)
    dataset = AudioDataset(corpus, corpus / "train.tsv", tokenizer)
    features, tokens, feat_len, token_len = dataset[1]
    assert len(dataset) == 3
    assert features.shape == (feat_len, 80)
    assert tokens.shape == (token_len,)
    assert tokenizer.decode(tokens) == "three"
    assert collate([dataset[0], dataset[1]]).ids == ["0", "1"]


def test_the_audio_folder_may_lie_apart_from_the_transcripts(corpus, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("transcripts") / "train.tsv"
    elsewhere.write_text((corpus / "train.tsv").read_text())
    assert AudioDataset(corpus, elsewhere, CharTokenizer())[0][3] == len("one two")


def test_characters_outside_the_vocabulary_are_named_with_line_and_remedy(corpus):
    (corpus / "bad.tsv").write_text("0.flac\tna\N{LATIN SMALL LETTER I WITH DIAERESIS}ve\n1.flac\tfine\n")
    with pytest.raises(DataError) as raised:
        AudioDataset(corpus, corpus / "bad.tsv", CharTokenizer())
    message = str(raised.value)
    assert "bad.tsv:1: not in the vocabulary: 'ï' (U+00EF)" in message
    assert "data.tokenizer=char_from_texts" in message
    assert "bad.tsv:2" not in message
    check_vocabulary(read_manifest(corpus / "train.tsv"), CharTokenizer())


def test_long_utterances_are_left_out_by_frames_and_by_tokens(corpus):
    dataset = speech(corpus)
    kept = leave_out_long(
        dataset.utterances, dataset.frames(), dataset.tokenizer, max_feat_len=101, max_token_len=5
    )
    assert [utterance.text for utterance in kept] == ["three"]
