"""The recipes of published tables, on a few images in the layout of their publishers."""

import numpy as np
import pytest

from commands.publish import recipe
from faces import params
from faces.data import records
from faces.params import recipes
from stages import download, read_table
from tests.conftest import ROOT, picture


@pytest.fixture
def rows(project, tmp_path, monkeypatch):
    """rows(NAME) puts the recipe of a table into params.yaml, and returns the records of what is in tmp_path/source."""
    monkeypatch.setattr(recipes, "FOLDER", ROOT / "recipes")

    def read(name):
        monkeypatch.setattr("sys.argv", ["recipe", f"tables/{name}", "--source", str(tmp_path / "source")])
        recipe.main()
        download.main(name, "cropped")
        read_table.main(name)
        return records.read(project / f"data/records/{name}.csv")

    (tmp_path / "source").mkdir()
    return read


def images(folder, *names):
    folder.mkdir()
    for number, name in enumerate(names):
        picture(number, (60, 60)).save(folder / name)


def test_fairface(rows, tmp_path):
    source = tmp_path / "source"
    images(source / "train", "1.jpg", "2.jpg", "3.jpg")
    lines = [
        "train/1.jpg,50-59,Male,East Asian,True",
        "train/2.jpg,more than 70,Female,Latino_Hispanic,False",
        "train/3.jpg,0-2,Female,Middle Eastern,False",
    ]
    (source / "fairface_label_train.csv").write_text("\n".join(["file,age,gender,race,service_test", *lines]) + "\n")
    read = rows("fairface")
    assert read["face_id"].tolist() == ["1.jpg", "2.jpg", "3.jpg"]
    assert read["age"].tolist() == [55, 85.5, 1.5]
    assert read["sex"].tolist() == ["male", "female", "female"]
    assert read["ethnicity"].tolist() == ["asian", "others", "others"]
    assert (read["reject"] == "").all()


def test_appa_real(rows, tmp_path):
    source = tmp_path / "source"
    images(source / "train", "000000.jpg", "000000.jpg_face.jpg", "000001.jpg", "000001.jpg_face.jpg")
    (source / "train/000000.jpg.mat").write_bytes(b"MATLAB 5.0")
    lines = ["000000.jpg,36,5.0,1.1,4", "000001.jpg,40,18.6,3.2,18"]
    header = "file_name,num_ratings,apparent_age_avg,apparent_age_std,real_age"
    (source / "gt_avg_train.csv").write_text("\n".join([header, *lines]) + "\n")
    assert rows("appa_real")[["face_id", "age"]].to_numpy().tolist() == [["000000.jpg", 4], ["000001.jpg", 18]]


def test_age_gender(rows, tmp_path):
    pixels = [" ".join(map(str, np.random.default_rng(i).integers(0, 256, 48 * 48))) for i in range(3)]
    lines = [f'{i},{i},{i % 2},20161219203650636.jpg.chip.jpg,"{text}"' for i, text in enumerate(pixels)]
    text = "\n".join(["age,ethnicity,gender,img_name,pixels", *lines]) + "\n"
    (tmp_path / "source/age_gender.csv").write_text(text)
    read = rows("age_gender")
    assert read["age"].tolist() == [0, 1, 2]
    assert read["sex"].tolist() == ["male", "female", "male"]
    assert read["ethnicity"].tolist() == ["white", "black", "asian"]
    assert params.load().variants["age_gender-cropped"].crop == "none"


def test_a_table_needs_its_folder(project, monkeypatch, capsys):
    monkeypatch.setattr(recipes, "FOLDER", ROOT / "recipes")
    monkeypatch.setattr("sys.argv", ["recipe", "tables/fairface"])
    with pytest.raises(SystemExit):
        recipe.main()
    error = " ".join(capsys.readouterr().err.split())
    assert "--source official: is no folder; recipes/tables/fairface.yaml says which one it must be" in error


def test_another_recipe_may_follow_that_of_a_table(rows, tmp_path, monkeypatch):
    committed = params.PATH.read_text()
    monkeypatch.setattr(recipes, "committed", lambda: committed)
    test_fairface(rows, tmp_path)
    monkeypatch.setattr("sys.argv", ["recipe", "utkface"])
    recipe.main()
    assert list(params.load().models) == ["utkface"]
