"""A headless browser that uses the app as a person does, and a server of the app in its own folder."""

import contextlib
import io
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from commands.app import own_address
from tests.conftest import ROOT

DESKTOP, PHONE = (1280, 900), (390, 844)  # pixels
PARTS = (".streamlit", "app", "commands", "faces", "params.yaml", "pretrained")  # of the project
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--hide-scrollbars", "--lang=en-US",
    "--disable-dev-shm-usage", "--ignore-certificate-errors", "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream", "--disable-extensions", "--disable-features=BackForwardCache",
    "--renderer-process-limit=1",
)  # fmt: skip
TIMEOUT = 60  # seconds


def program(*names: str) -> str:
    """Path of a program. If there is none, the test is skipped, or fails in CI."""
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        reason = f"no {names[0]}: `apt-get install chromium chromium-driver` on Debian"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return path


@contextlib.contextmanager
def chrome() -> Iterator[webdriver.Chrome]:
    """A headless Chromium."""
    options = Options()
    options.binary_location = program("chromium", "chromium-browser", "google-chrome")
    for flag in FLAGS:
        options.add_argument(flag)
    driver = webdriver.Chrome(options, Service(program("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()


def cloned(folder: Path) -> Path:
    """Make a folder a fresh clone of the project, without results of a run."""
    for part in PARTS:
        (folder / part).symlink_to(ROOT / part)
    committed = subprocess.run(["git", "archive", "HEAD", "reports"], cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(committed)) as archive:
        archive.extractall(folder)  # `filter` is new in Python 3.11.4
    return folder


@contextlib.contextmanager
def served(folder: Path, log: Path, *words: str) -> Iterator[str]:
    """Serve the app of a folder as `make app` does, and yield its address; log: file for what it prints."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {key: value for key, value in os.environ.items() if key not in ("MLFLOW_TRACKING_URI", "DVC_ROOT")}
    command = [sys.executable, "-m", "commands.app", "--port", str(port), *words]
    with log.open("w") as out:
        started = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=out, start_new_session=True)
    address = f"https://{own_address()}:{port}" if "--phone" in words else f"http://127.0.0.1:{port}"
    try:
        wait(lambda: is_healthy(address), lambda: f"{address}: {log.read_text()}")
        yield address
    finally:
        os.killpg(started.pid, 15)
        started.wait()


def is_healthy(address: str) -> bool:
    """Whether the app's health check succeeds."""
    with contextlib.suppress(requests.RequestException):
        return requests.get(f"{address}/_stcore/health", verify=False, timeout=5).ok  # self-signed
    return False


def wait(condition, description, timeout: float = TIMEOUT):
    """Return the value of a function once it is true; description: text, or a function. Raises AssertionError."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        with contextlib.suppress(StaleElementReferenceException, WebDriverException):
            value = condition()
            if value:
                return value
        time.sleep(0.1)
    raise AssertionError(f"waited {timeout} s for {description() if callable(description) else description}")


class Visit:
    """A session of the app in a browser window."""

    def __init__(self, driver: webdriver.Chrome, address: str) -> None:
        self.driver, self.address = driver, address
        self.resize(DESKTOP)

    def resize(self, size: tuple[int, int], scheme: str = "light") -> None:
        """Set the window to (width, height) pixels, light or dark."""
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    def open(self, page: str) -> None:
        """Open a page in a new session."""
        self.driver.get("about:blank")
        self.driver.get(f"{self.address}/{page}")
        self.wait_until_idle()

    def wait_until_idle(self) -> None:
        """Wait until the page is complete and no longer changes."""
        quiet = 0

        def idle() -> bool:
            nonlocal quiet
            state = self.driver.execute_script(
                "const app = document.querySelector('[data-testid=stApp]');"
                "return app && app.getAttribute('data-test-script-state') + ' ' +"
                "!!document.querySelector('[data-testid=stSkeleton],[data-testid=stSpinner]')"
            )
            quiet = quiet + 1 if state == "notRunning false" else 0
            return quiet > 5

        wait(idle, "the page to become idle")
        for kind in ("stException", "stDialog"):
            assert not self.all(kind), self.all(kind)[0].text

    def all(self, kind: str) -> list[WebElement]:
        """Elements of one of Streamlit's kinds, such as stImage."""
        return self.driver.find_elements(By.CSS_SELECTOR, f"[data-testid={kind}]")

    def images(self, count: int) -> list[WebElement]:
        """All images of the page if there are `count`, else none."""
        images = self.driver.find_elements(By.CSS_SELECTOR, "[data-testid=stImage] img")
        return images if len(images) == count else []

    def text(self) -> str:
        """All text of the page."""
        return self.driver.find_element(By.CSS_SELECTOR, "[data-testid=stMain]").text

    def shows(self, text: str) -> None:
        """Wait until the page has a text."""
        wait(lambda: text in self.text(), lambda: f"{text!r} on a page with the text: {self.text()}")

    def press(self, label: str) -> None:
        """Press a button or an option by its label."""
        buttons = self.driver.find_elements(
            By.CSS_SELECTOR, "button, [role=tab], [data-testid=stCheckbox] label, summary"
        )
        button = next(button for button in buttons if button.text.strip().splitlines()[-1:] == [label])
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
        button.click()
        time.sleep(0.3)
        self.wait_until_idle()

    def upload(self, path: Path) -> None:
        """Upload a file."""
        self.driver.find_element(By.CSS_SELECTOR, "[data-testid=stFileUploaderDropzoneInput]").send_keys(str(path))
        time.sleep(0.3)
        self.wait_until_idle()

    def pick(self, label: str, words: str) -> None:
        """Pick the first option of a select box that contains `words`."""
        box = self.driver.find_element(By.CSS_SELECTOR, f"[role=combobox][aria-label*='{label}']")
        box.send_keys(words)
        time.sleep(0.3)
        box.send_keys(Keys.ENTER)
        time.sleep(0.3)
        self.wait_until_idle()

    def overflow(self) -> int:
        """Pixels by which the page is wider than the window."""
        return self.driver.execute_script(
            "const main = document.querySelector('[data-testid=stMain]'); return main.scrollWidth - main.clientWidth"
        )
