import pytest

from paraformer.errors import ConfigError
from paraformer_platform.config.recipe import load_recipe

pytest.importorskip("espeakng_loader", reason="eSpeak NG is an extra: pip install '.[speech]'")


def test_every_recipe_of_the_repository_is_sound(repository):
    paths = sorted((repository / "experiments" / "speech").glob("*.yaml"))
    assert paths
    for path in paths:
        recipe = load_recipe(path)
        assert set(recipe.splits) == {"train", "dev", "test"}


def test_files_that_hold_no_recipe_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"there is no recipe .*gone\.yaml; experiments/speech/ holds"):
        load_recipe(tmp_path / "gone.yaml")
    (tmp_path / "list.yaml").write_text("[1, 2]")
    with pytest.raises(ConfigError, match=r"list\.yaml must hold keys and values"):
        load_recipe(tmp_path / "list.yaml")
    (tmp_path / "broken.yaml").write_text("a: [1,")
    with pytest.raises(ConfigError, match=r"broken\.yaml is not a YAML recipe"):
        load_recipe(tmp_path / "broken.yaml")
    with pytest.raises(ConfigError, match="cannot be read as a recipe"):
        load_recipe(tmp_path)


def test_faults_name_the_file(tmp_path):
    (tmp_path / "a.yaml").write_text("name: a\ngrammer: {}\n")
    with pytest.raises(ConfigError, match=r"a\.yaml: grammer: there is no such key; did you mean grammar\?"):
        load_recipe(tmp_path / "a.yaml")
