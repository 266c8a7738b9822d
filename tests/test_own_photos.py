"""docs/data.md on one's own photos, followed to the letter in a clone of the project; minutes long."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skimage.data
from PIL import Image

from faces.images import detection
from faces.inference import photos
from faces.inference.predictor import SHIPPED, Predictor
from tests.conftest import ROOT
from tests.stages.test_pipeline import dvc

pytestmark = pytest.mark.slow
PAGE = (ROOT / "docs/data.md").read_text().split("## Your own photos\n")[1]
SHELL = 'set -eu -o pipefail; xdg-open() { test -s "$1"; }; '


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A clone with this environment, and 100 photos of small real faces, labelled by the shipped model."""
    folder = tmp_path_factory.mktemp("own")
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder / "faces")], check=True)
    (folder / "faces/.venv").symlink_to(sys.prefix)
    os.utime(folder / "faces/requirements.txt", (0, 0))  # so that make installs nothing
    (folder / "mine/photos").mkdir(parents=True)
    rng, rows = np.random.default_rng(0), []
    predictor, detector = Predictor(ROOT / SHIPPED), detection.FaceDetector()
    for number, face in enumerate(skimage.data.lfw_subset()[:100]):
        photo = photo_of(face, rng)
        path = folder / f"mine/photos/{number:03d}.jpg"
        photo.save(path, quality=90)
        prepared = photos.prepare(0, path.read_bytes(), predictor, detector)
        known = predictor.predict_inputs(np.stack(prepared.inputs))[:1] if prepared.inputs else None
        age, sex = (known["age"][0].round(), known["sex"][0][0].upper()) if known is not None else (30, "F")
        rows.append({"file": path.name, "age": int(age), "sex": sex})
    pd.DataFrame(rows).to_csv(folder / "mine/labels.csv", index=False)
    photo.save(folder / "faces/new.jpg")
    Image.new("RGB", (640, 480), (90, 90, 90)).save(folder / "mine/photos/000.jpg")
    return folder


def photo_of(face, rng):
    """A photo of 640 x 480 pixels with a face (25, 25) of 160 pixels, away from its middle."""
    noise = rng.normal(120, 8, (480, 640, 3)).clip(0, 255).astype(np.uint8)
    photo = Image.fromarray(noise)
    side = Image.fromarray((face * 255).astype(np.uint8)).convert("RGB").resize((160, 160), Image.Resampling.BICUBIC)
    photo.paste(side, (int(rng.integers(40, 440)), int(rng.integers(40, 280))))
    return photo


def follow(place, section):
    """Type the commands of a section; what they print."""
    text = re.split(r"\n##+ ", PAGE if section is None else PAGE.split(f"### {section}\n")[1])[0]
    printed = ""
    for block in re.findall(r"^```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        assert len(block.splitlines()) <= 10
        typed = block.replace("/data/mine", str(place / "mine"))
        environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        done = subprocess.run(
            ["bash", "-c", SHELL + typed], cwd=place / "faces", capture_output=True, text=True, env=environment
        )
        assert done.returncode == 0, done.stdout + done.stderr
        printed += done.stdout + done.stderr
    return printed


def test_one_s_own_photos_are_framed_scored_and_fine_tuned_by_typing_what_the_page_says(place):
    project = place / "faces"
    printed = follow(place, None)
    assert "faces are detected and framed" in " ".join(printed.split())
    rejects = pd.read_csv(project / "data/packs/own/cropped/rejects.csv")
    assert "000.jpg" in set(rejects["face_id"])
    assert len(rejects) < 5
    follow(place, "Score a model on them")
    about = json.loads((project / "data/scored/own/scores.json").read_text())
    assert (about["rows"], about["left_out"]) == (100, {"no face was found": len(rejects)})
    assert about["model"].startswith("utkface.onnx ")
    printed = follow(place, "Fine-tune a model on them")
    assert "starting from utkface of pretrained/utkface, trained on utkface" in " ".join(printed.split())
    about = json.loads((project / "data/scored/own/scores.json").read_text())
    assert about["model"].startswith("model.onnx ")
    assert about["against"].startswith("utkface.onnx ")
    assert {row["n"] for row in about["compared"]} == {about["scored"]}
    card = (project / "reports/cards/models/own.md").read_text()
    assert "**Start.** It started from `utkface` (`pretrained/utkface`), trained on utkface." in card
    assert "base_model: utkface" in card
    assert "Running stage" not in dvc(project, "repro")
