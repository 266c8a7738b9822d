"""Shared by all tests: a project folder of one's own, and small pictures."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty folder with the project's params.yaml, as the working folder."""
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def edit(project):
    """edit(pattern, new) changes the first match of a pattern in the project's params.yaml; there must be one."""

    def change(pattern: str, new: str) -> None:
        path = project / "params.yaml"
        text, count = re.subn(pattern, new.replace("\\", r"\\"), path.read_text(), count=1, flags=re.MULTILINE)
        assert count == 1, pattern
        path.write_text(text)

    return change


def picture(seed: int = 0, size: tuple[int, int] = (40, 30)) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str = "JPEG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
