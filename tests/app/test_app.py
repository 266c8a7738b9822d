"""The app in a real browser, as one who has just cloned the project has it: on the shipped model, with no run."""

import base64
import re
import socket
import subprocess
import sys

import pytest
import requests
import skimage.data
from PIL import Image
from selenium.webdriver.common.keys import Keys

from commands.app import own_address
from tests import browser
from tests.browser import PHONE, Visit
from tests.conftest import ROOT, encoded, picture

PAGES = ("", "why", "models", "data")
PASTE = """
const carried = new DataTransfer();
const bytes = Uint8Array.from(atob(arguments[0]), (c) => c.charCodeAt(0));
carried.items.add(new File([bytes], "pasted.png", { type: "image/png" }));
document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: carried, bubbles: true }));
"""


@pytest.fixture(scope="module")
def driver():
    with browser.chrome() as driver:
        yield driver


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """Address, log and folder of the app."""
    folder, log = browser.cloned(tmp_path_factory.mktemp("cloned")), tmp_path_factory.mktemp("log") / "app.log"
    with browser.served(folder, log) as address:
        yield address, log, folder


@pytest.fixture
def visit(driver, app):
    return Visit(driver, app[0])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Pictures that visitors bring, good and bad, by name."""
    folder = tmp_path_factory.mktemp("pictures")
    face = Image.fromarray(skimage.data.astronaut())
    made = {
        "face.jpg": encoded(face),
        "turned.jpg": encoded(face.rotate(90, expand=True), exif=turned()),
        "printed.jpg": encoded(face.convert("CMYK")),
        "moving.gif": encoded(face.quantize(), "GIF", save_all=True, append_images=[face.quantize().rotate(90)]),
        "meadow.png": encoded(picture(3, (300, 200)), "PNG"),
        "text.jpg": b"this is no picture",
        "huge.png": encoded(Image.new("1", (20_000, 10_000)), "PNG"),
        "two.png": encoded(beside(face, face.resize((400, 400))), "PNG"),
    }
    for name, content in made.items():
        (folder / name).write_bytes(content)
    return folder


def turned():
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown a quarter turn to the right
    return exif


def beside(*faces):
    wide = Image.new("RGB", (sum(face.width for face in faces), max(face.height for face in faces)), "gray")
    at = 0
    for face in faces:
        wide.paste(face, (at, 0))
        at += face.width
    return wide


def test_the_example_is_kept_from_page_to_page_until_it_is_removed(driver, tmp_path):
    """First and in an app of its own: its page loads TensorFlow, which must not stay beside what other tests start."""
    folder = tmp_path / "cloned"
    folder.mkdir()
    with browser.served(browser.cloned(folder), tmp_path / "app.log") as address:
        visit = Visit(driver, address)
        visit.open("")
        visit.press("Try it with an example")
        visit.says("female")
        link = next(link for link in visit.all("stSidebarNavLink") if link.text.splitlines()[-1] == "Why")
        link.click()
        visit.says("It says: age")
        browser.wait(lambda: len(visit.all("stImage")) == 4, "three maps beside the face")
        visit.settle()
        visit.press("Remove astronaut.png")
        browser.wait(lambda: not visit.all("stImage"), "the photo to go")


def test_a_face_is_found_and_told_and_nothing_is_kept(visit, app, files):
    _, log, folder = app
    before = {path for path in folder.rglob("*") if not path.is_symlink()}
    visit.open("")
    visit.upload(files / "face.jpg")
    visit.says("female")
    assert re.search(r"\d+ years \d+ to \d+", visit.text())
    assert "white" not in visit.text()  # ethnicity is told on request
    visit.press("Settings")
    visit.press("Tell ethnicity, too")
    assert any("ethnicity" in chart.get_attribute("aria-label") for chart in labelled(visit))
    assert {path for path in folder.rglob("*") if not path.is_symlink()} == before
    assert "face.jpg" not in log.read_text()


def labelled(visit):
    """Charts, which say to a screen reader what they show."""
    return visit.driver.find_elements(
        "css selector", "[data-testid=stVegaLiteChart] [aria-label], [data-testid=stVegaLiteChart][aria-label]"
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("meadow.png", "No face was found"),
        ("text.jpg", "text.jpg is no picture"),
        ("huge.png", "huge.png: too many pixels"),
        ("moving.gif", "Of its 2 pictures, the first is looked at."),
        ("turned.jpg", "female"),
        ("printed.jpg", "female"),
    ],
)
def test_each_kind_of_picture_is_told_plainly(visit, files, name, words):
    visit.open("")
    visit.upload(files / name)
    visit.says(words)


def test_a_kind_of_file_that_is_no_picture_is_refused(visit, files, tmp_path):
    notes = tmp_path / "notes.txt"
    notes.write_text("notes")
    visit.open("")
    visit.upload(notes)
    visit.says("not allowed")


def test_two_faces_two_models_and_what_is_known(visit, files):
    visit.open("")
    visit.upload(files / "two.png")
    visit.says("Face 2")
    visit.pick("Compare with", "int8")
    browser.wait(lambda: visit.text().count("(cropped)") == 4, "two models' answers about two faces")
    visit.press("Face 1: do you know the true age and sex?")
    field = visit.driver.find_element("css selector", "input[aria-label='True age, years']")
    field.send_keys("120", Keys.ENTER)
    visit.says("outside the margin")


def test_a_picture_is_pasted(visit):
    visit.open("")
    content = encoded(Image.fromarray(skimage.data.astronaut()), "PNG")
    visit.driver.execute_script(PASTE, base64.b64encode(content).decode())
    visit.says("female")


def test_the_camera_is_asked_for_where_it_is_chosen_alone(visit):
    visit.open("")
    assert not visit.all("stCameraInput")
    visit.press("Camera")
    visit.says("Take a photo")
    browser.wait(lambda: visit.all("stCameraInputButton"), "the camera")


@pytest.mark.parametrize("page", PAGES)
def test_pages_fit_a_phone_and_the_dark(visit, page):
    visit.resize(PHONE, "dark")
    visit.open(page)
    assert visit.overflow() == 0
    background = visit.driver.execute_script(
        "return getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor"
    )
    assert max(map(int, re.findall(r"\d+", background)[:3])) < 60


def test_pages_say_what_to_run_where_nothing_has_run(visit):
    visit.open("data")
    visit.says("make repro")
    visit.open("models")
    visit.says("Published")
    assert re.search(r"results of|utkface", visit.text())
    visit.press("MLflow")
    visit.says("MLflow's store is empty: make repro")
    visit.press("Faces")
    visit.says("make repro")


@pytest.mark.parametrize("view", ["By age and group", "Learning", "Variants", "Gate"])
def test_committed_results_are_plotted_and_said_to_be_of_drawn_faces(visit, view):
    visit.open("models")
    visit.press(view)
    assert visit.all("stVegaLiteChart")
    if view != "Gate":
        visit.says("Sample: these are drawn faces")


def test_the_keyboard_reaches_all_and_pictures_are_told(visit, files):
    visit.open("")
    reached = set()
    body = visit.driver.find_element("tag name", "body")
    for _ in range(25):
        visit.driver.switch_to.active_element.send_keys(Keys.TAB)
        active = visit.driver.switch_to.active_element
        reached.add((active.text.strip().splitlines() or [active.get_attribute("aria-label")])[-1])
        if active == body:
            break
    assert {"Predict", "Why", "Models", "Data", "Upload", "File", "Try it with an example"} <= reached
    visit.upload(files / "face.jpg")
    images = browser.wait(lambda: visit.pictures(2), "the photo and the face")
    assert all(image.get_attribute("alt") for image in images)


@pytest.mark.skipif(own_address() is None, reason="this machine is on no network")
def test_phones_come_in_by_a_token_alone_and_the_key_goes_at_the_end(driver, tmp_path, monkeypatch):
    folder, log = tmp_path / "cloned", tmp_path / "app.log"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with browser.served(browser.cloned(folder), log, "--phone") as address:
        assert list(tmp_path.rglob("key.pem"))
        token = re.search(r"https://\S+/\?token=(\S+)", log.read_text())[1]
        visit = Visit(driver, address)
        visit.open("")
        visit.says("open to those who have its token")
        assert not visit.all("stFileUploader")
        visit.open(f"?token={token}x")
        visit.says("open to those who have its token")
        visit.open(f"?token={token}")
        visit.says("A photo with faces")
        next(link for link in visit.all("stSidebarNavLink") if link.text.splitlines()[-1] == "Data").click()
        visit.says("make repro")
        visit.driver.refresh()  # a new session, as a phone has that wakes up
        visit.settle()
        visit.says("make repro")
        assert "█" in log.read_text()  # the QR code
    assert not list(tmp_path.rglob("key.pem"))
    assert not browser.answers(address)


def test_the_app_listens_to_this_machine_alone(app):
    address, _, _ = app
    port = int(address.rsplit(":", 1)[1])
    if own_address():
        with socket.socket() as trial:
            assert trial.connect_ex((own_address(), port)) != 0
    for host, known in (("elsewhere.example", False), (f"127.0.0.1:{port}", True)):  # as a rebound name would have it
        wanted = {"Host": host, "Origin": f"http://{host}", "Connection": "Upgrade", "Upgrade": "websocket"}
        wanted |= {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
        answer = requests.get(f"{address}/_stcore/stream", headers=wanted, timeout=5, stream=True)
        assert (answer.status_code == 101) == known


def test_a_port_that_is_taken_is_told(app):
    port = app[0].rsplit(":", 1)[1]
    done = subprocess.run(
        [sys.executable, "-m", "commands.app", "--port", port], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert f"port {port} is taken" in done.stderr
    assert f"PORT={int(port) + 1}" in done.stderr
