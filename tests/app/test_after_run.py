"""The app in a real browser, in this folder, after `make repro` on the sample: it shows the results."""

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
def synthetic(tmp_path):
    """File of a synthetic face, cropped as the model's training images."""
    pack = packs.Pack(ROOT / "data/packs/utkface/cropped")
    path = tmp_path / "synthetic.jpg"
    path.write_bytes(pack.images([0])[0])
    return path


def test_the_data_of_a_run_are_counted_plotted_and_shown(visit):
    visit.open("data")
    visit.shows("Sample: these are synthetic faces")
    assert re.search(r"faces\s+1,\d{3}\s+train", visit.text())
    assert len(visit.all("stVegaLiteChart")) >= 4
    visit.press("wiki")
    visit.shows("Age by year of the photo")
    visit.press("Left out")
    visit.shows("From the .mat file to records")
    visit.press("Faces")
    images = browser.wait(lambda: visit.images(48), "a grid of faces")
    assert re.fullmatch(r"Face: (\d+|age\?), (fe)?male", images[0].get_attribute("alt"))


@pytest.mark.parametrize("tab", ["Overview", "By age and group", "Learning", "Variants", "Gate"])
def test_each_tab_of_the_models_is_shown(visit, tab):
    visit.open("models")
    visit.press(tab)
    assert visit.all("stVegaLiteChart") or visit.all("stDataFrame")


def test_the_worst_faces_and_the_registered_models_are_shown(visit):
    visit.open("models")
    visit.press("Faces")
    browser.wait(lambda: re.search(r"\d+ → \d+", visit.text()), "faces with their labels")
    visit.press("MLflow")
    visit.shows("Registered versions")
    browser.wait(lambda: len(visit.all("stDataFrame")) == 2, "versions and runs")


def test_a_model_of_synthetic_faces_is_used_if_selected_and_has_a_warning(visit, synthetic):
    visit.open("")
    visit.upload(synthetic)
    assert "synthetic faces" not in visit.text()
    visit.pick("Model", "faces-utkface-sample")
    visit.shows("trained on synthetic faces")
    visit.press("Settings")
    visit.press("The photo is cropped: one face, framed as in training")
    browser.wait(lambda: re.search(r"\d+ years \d+ to \d+", visit.text()), "a prediction")


def test_maps_are_shown_for_a_face_of_the_run_and_for_a_group(visit):
    visit.open("why")
    visit.pick("Model", MODEL)
    visit.press("A face of the last run")
    visit.shows("Predicted: age")
    visit.shows("trained on synthetic faces")
    browser.wait(lambda: visit.images(4), "three maps beside the face")
    visit.press("Mean of a group")
    visit.press("Compute the mean")
    visit.shows("Mean of Grad-CAM")
