"""The app in a real browser, in a fresh clone: with the shipped model, and without results of a run."""

import asyncio
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

from app import access
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
    """Files that users upload, valid and invalid, by name."""
    folder = tmp_path_factory.mktemp("uploads")
    face = Image.fromarray(skimage.data.astronaut())
    contents = {
        "face.jpg": encoded(face),
        "turned.jpg": encoded(face.rotate(90, expand=True), exif=turned()),
        "printed.jpg": encoded(face.convert("CMYK")),
        "moving.gif": encoded(face.quantize(), "GIF", save_all=True, append_images=[face.quantize().rotate(90)]),
        "meadow.png": encoded(picture(3, (300, 200)), "PNG"),
        "text.jpg": b"this is no image",
        "huge.png": encoded(Image.new("1", (20_000, 12_000)), "PNG"),
        "two.png": encoded(beside(face, face.resize((400, 400))), "PNG"),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


def turned():
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned right by 90 degrees
    return exif


def beside(*faces):
    wide = Image.new("RGB", (sum(face.width for face in faces), max(face.height for face in faces)), "gray")
    at = 0
    for face in faces:
        wide.paste(face, (at, 0))
        at += face.width
    return wide


def test_the_example_is_kept_from_page_to_page_until_it_is_removed(driver, tmp_path):
    """Runs first and in its own app, since its page loads TensorFlow, whose memory must not add to other tests'."""
    folder = tmp_path / "cloned"
    folder.mkdir()
    with browser.served(browser.cloned(folder), tmp_path / "app.log") as address:
        visit = Visit(driver, address)
        visit.open("data")  # a server's first page may be any
        visit.shows("make repro")
        visit.open("")
        visit.press("Try it with an example")
        visit.shows("female")
        link = next(link for link in visit.all("stSidebarNavLink") if link.text.splitlines()[-1] == "Why")
        link.click()
        visit.shows("Predicted: age")
        browser.wait(lambda: len(visit.all("stImage")) == 4, "three maps beside the face")
        visit.wait_until_idle()
        visit.press("Remove astronaut.png")
        browser.wait(lambda: not visit.all("stImage"), "the photo to go")


def test_a_face_is_detected_and_predicted_and_nothing_is_kept(visit, app, files):
    _, log, folder = app
    before = {path for path in folder.rglob("*") if not path.is_symlink()}
    visit.open("")
    visit.upload(files / "face.jpg")
    visit.shows("female")
    assert re.search(r"\d+ years \d+ to \d+", visit.text())
    assert "white" not in visit.text()  # ethnicity is shown on request
    visit.press("Settings")
    visit.press("Show ethnicity")
    assert any("ethnicity" in chart.get_attribute("aria-label") for chart in labelled(visit))
    assert {path for path in folder.rglob("*") if not path.is_symlink()} == before
    assert "face.jpg" not in log.read_text()


def labelled(visit):
    """Charts with their labels for screen readers."""
    return visit.driver.find_elements(
        "css selector", "[data-testid=stVegaLiteChart] [aria-label], [data-testid=stVegaLiteChart][aria-label]"
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("meadow.png", "No face was detected"),
        ("text.jpg", "text.jpg is no image"),
        ("huge.png", "huge.png: too many pixels"),
        ("moving.gif", "The file has several frames; the first one is used."),
        ("turned.jpg", "female"),
        ("printed.jpg", "female"),
    ],
)
def test_each_kind_of_file_has_a_plain_message(visit, files, name, message):
    visit.open("")
    visit.upload(files / name)
    visit.shows(message)


def test_a_file_that_is_no_image_is_refused(visit, files, tmp_path):
    notes = tmp_path / "notes.txt"
    notes.write_text("notes")
    visit.open("")
    visit.upload(notes)
    visit.shows("not allowed")


def test_a_files_name_is_shown_as_it_is(visit, tmp_path):
    name = "![a](https:elsewhere.example) <b>b *c* :red[d] $e$.jpg"
    (tmp_path / name).write_bytes(b"this is no image")
    visit.open("")
    visit.upload(tmp_path / name)
    visit.shows(f"{name} is no image")
    assert not visit.driver.find_elements("css selector", "[data-testid=stAlert] :is(img, b, em, a, .katex)")


def test_twenty_uploads_at_once_are_received_in_turns():
    receiving, most = [], []

    async def server(scope, receive, send):
        receiving.append(scope)
        most.append(len(receiving))
        await asyncio.sleep(0.01)
        receiving.pop()

    async def upload_all():
        limited = access.LimitedUploads(server)
        scope = {"type": "http", "method": "PUT", "path": "/_stcore/upload_file/session/file"}
        await asyncio.gather(*(limited(scope, None, None) for _ in range(20)))

    asyncio.run(upload_all())
    assert (len(most), max(most)) == (20, access.AT_ONCE)


def test_two_faces_two_models_and_a_true_label(visit, files):
    visit.open("")
    visit.upload(files / "two.png")
    visit.shows("Face 2")
    visit.pick("Compare with", "int8")
    browser.wait(lambda: visit.text().count("(cropped)") == 4, "predictions of two models for two faces")
    visit.press("Face 1: do you know the true age and sex?")
    field = visit.driver.find_element("css selector", "input[aria-label='True age, years']")
    field.send_keys("120", Keys.ENTER)
    visit.shows("outside the interval")


def test_an_image_is_pasted(visit):
    visit.open("")
    content = encoded(Image.fromarray(skimage.data.astronaut()), "PNG")
    visit.driver.execute_script(PASTE, base64.b64encode(content).decode())
    visit.shows("female")


def test_the_camera_is_used_only_if_it_is_selected(visit):
    visit.open("")
    assert not visit.all("stCameraInput")
    visit.press("Camera")
    visit.shows("Take a photo")
    browser.wait(lambda: visit.all("stCameraInputButton"), "the camera")


@pytest.mark.parametrize("page", PAGES)
def test_pages_fit_a_phone_and_a_dark_theme(visit, page):
    visit.resize(PHONE, "dark")
    visit.open(page)
    assert visit.overflow() == 0
    background = visit.driver.execute_script(
        "return getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor"
    )
    assert max(map(int, re.findall(r"\d+", background)[:3])) < 60


def test_pages_say_what_to_run_where_nothing_has_run(visit):
    visit.open("data")
    visit.shows("make repro")
    visit.open("models")
    visit.shows("Published")
    assert re.search(r"results of|utkface", visit.text())
    visit.press("MLflow")
    visit.shows("MLflow's store is empty: make repro")
    visit.press("Faces")
    visit.shows("make repro")


@pytest.mark.parametrize("tab", ["By age and group", "Learning", "Variants", "Gate"])
def test_committed_results_are_plotted_with_a_warning_of_synthetic_faces(visit, tab):
    visit.open("models")
    visit.press(tab)
    assert visit.all("stVegaLiteChart")
    if tab != "Gate":
        visit.shows("Sample: these are synthetic faces")


def test_the_keyboard_reaches_all_and_images_have_texts(visit, files):
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
    images = browser.wait(lambda: visit.images(2), "the photo and the face")
    assert all(image.get_attribute("alt") for image in images)


@pytest.mark.skipif(own_address() is None, reason="this machine has no network")
def test_phones_need_the_token_and_the_key_is_deleted_at_the_end(driver, files, tmp_path, monkeypatch):
    folder, log = tmp_path / "cloned", tmp_path / "app.log"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with browser.served(browser.cloned(folder), log, "--phone") as address:
        assert list(tmp_path.rglob("key.pem"))
        token = re.search(r"https://\S+/\?token=(\S+)", log.read_text())[1]
        visit = Visit(driver, address)
        visit.open("")
        visit.shows("This app needs a token")
        assert not visit.all("stFileUploader")
        visit.open(f"?token={token}x")
        visit.shows("This app needs a token")
        place = f"{address}/_stcore/upload_file/any/1"
        assert requests.put(place, data=bytes(1000), verify=False, timeout=5).status_code == 403
        visit.open(f"?token={token}")
        visit.shows("A photo with faces")
        visit.upload(files / "face.jpg")
        visit.shows("female")
        next(link for link in visit.all("stSidebarNavLink") if link.text.splitlines()[-1] == "Data").click()
        visit.shows("make repro")
        visit.driver.refresh()  # a new session, as when a phone reconnects
        visit.wait_until_idle()
        visit.shows("make repro")
        assert "█" in log.read_text()  # the QR code
    assert not list(tmp_path.rglob("key.pem"))
    assert not browser.is_healthy(address)


def test_the_app_listens_only_to_this_machine(app):
    address, _, _ = app
    port = int(address.rsplit(":", 1)[1])
    if own_address():
        with socket.socket() as trial:
            assert trial.connect_ex((own_address(), port)) != 0
    for host, known in (("elsewhere.example", False), (f"127.0.0.1:{port}", True)):  # as in DNS rebinding
        wanted = {"Host": host, "Origin": f"http://{host}", "Connection": "Upgrade", "Upgrade": "websocket"}
        wanted |= {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
        response = requests.get(f"{address}/_stcore/stream", headers=wanted, timeout=5, stream=True)
        assert (response.status_code == 101) == known


def test_a_port_in_use_is_reported(app):
    port = app[0].rsplit(":", 1)[1]
    done = subprocess.run(
        [sys.executable, "-m", "commands.app", "--port", port], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert f"port {port} is taken" in done.stderr
    assert f"PORT={int(port) + 1}" in done.stderr
