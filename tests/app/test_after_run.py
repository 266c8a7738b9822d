"""The app in a real browser, in this folder, after `make repro` on the sample: what a run makes is shown."""

import re

import pytest

from faces.data import packs
from tests import browser
from tests.conftest import ROOT

pytestmark = pytest.mark.run
MODEL = "utkface-cropped"


@pytest.fixture(scope="module")
def visit(tmp_path_factory):
    log = tmp_path_factory.mktemp("log") / "app.log"
    with browser.chrome() as driver, browser.served(ROOT, log) as address:
        yield browser.Visit(driver, address)


@pytest.fixture
def drawn(tmp_path):
    """A drawn face, cut out as the model knows faces."""
    pack = packs.Pack(ROOT / "data/packs/utkface/cropped")
    path = tmp_path / "drawn.jpg"
    path.write_bytes(pack.images([0])[0])
    return path


def test_the_data_of_a_run_are_counted_plotted_and_shown(visit):
    visit.open("data")
    visit.says("Sample: these are drawn faces")
    assert re.search(r"faces\s+1,\d{3}\s+train", visit.text())
    assert len(visit.all("stVegaLiteChart")) >= 4
    visit.press("wiki")
    visit.says("Age by year of the photo")
    visit.press("Left out")
    visit.says("From the .mat file to records")
    visit.press("Faces")
    images = browser.wait(lambda: visit.pictures(48), "a grid of faces")
    assert re.fullmatch(r"Face: (\d+|age\?), (fe)?male", images[0].get_attribute("alt"))


@pytest.mark.parametrize("view", ["Overview", "By age and group", "Learning", "Variants", "Gate"])
def test_each_view_of_the_models_is_drawn(visit, view):
    visit.open("models")
    visit.press(view)
    assert visit.all("stVegaLiteChart") or visit.all("stDataFrame")


def test_the_worst_faces_and_the_registered_models_are_shown(visit):
    visit.open("models")
    visit.press("Faces")
    browser.wait(lambda: re.search(r"\d+ → \d+", visit.text()), "faces with their labels")
    visit.press("MLflow")
    visit.says("Registered versions")
    browser.wait(lambda: len(visit.all("stDataFrame")) == 2, "versions and runs")


def test_a_model_of_drawn_faces_serves_where_it_is_named_and_says_what_it_is(visit, drawn):
    visit.open("")
    visit.upload(drawn)
    assert "drawn faces taught" not in visit.text()
    visit.pick("Model", "faces-utkface-sample")
    visit.says("drawn faces taught this model")
    visit.press("Settings")
    visit.press("It is cropped: one face, framed as in UTKFace")
    browser.wait(lambda: re.search(r"\d+ years \d+ to \d+", visit.text()), "a prediction")


def test_maps_are_drawn_of_a_face_of_the_run_and_of_a_group(visit):
    visit.open("why")
    visit.pick("Model", MODEL)
    visit.press("A face of the last run")
    visit.says("It says: age")
    visit.says("drawn faces taught this model")
    browser.wait(lambda: visit.pictures(4), "three maps beside the face")
    visit.press("A group in the mean")
    visit.press("Draw the mean")
    visit.says("Mean of Grad-CAM")
