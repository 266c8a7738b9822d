"""Shared by all tests: a project folder of one's own, and small images."""

import contextlib
import ctypes
import gc
import io
import os
import re
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import threadpoolctl
from PIL import Image

os.environ["TF_CPU_ALLOCATOR_USE_BFC"] = "false"  # its pool would keep the memory of each training

ROOT = Path(__file__).parent.parent
ARENA_MAX = -8  # of mallopt(3)
ORDER = ("app", "decisions", "training", "networks")  # the files that take longest begin first


def pytest_collection_modifyitems(items):
    places = {f"test_{name}.py": place for place, name in enumerate(ORDER)}
    items.sort(key=lambda item: places.get(item.path.name, len(ORDER)))


def pytest_collection_finish():
    gc.freeze()  # what is imported by now stays: the collector, which takes a second for it, passes it over
    threadpoolctl.threadpool_limits(1, "blas")  # the other worker has the other core, for which threads would spin
    with contextlib.suppress(AttributeError):  # of another C library than glibc
        ctypes.CDLL(None).mallopt(ARENA_MAX, 2)  # each thread's own would keep what it frees


@pytest.fixture(autouse=True, scope="module")
def forgetting():
    """At a module's end, Keras lets go of what its tests built, and its memory goes back to the system."""
    yield
    forget()


def forget() -> None:
    if "keras" in sys.modules:
        sys.modules["keras"].utils.clear_session()
    gc.collect()
    with contextlib.suppress(AttributeError):  # of another C library than glibc
        ctypes.CDLL(None).malloc_trim(0)


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


@pytest.fixture(scope="session")
def sample(tmp_path_factory):
    """A folder where a sample of 200 faces went through the stages up to the splits; tests take copies of it."""
    from stages import clean, convert_mat, download, pack, parse_labels, split

    folder = tmp_path_factory.mktemp("sample")
    text, count = re.subn(r"(?m)^  faces: \d+", "  faces: 200", (ROOT / "params.yaml").read_text())
    assert count == 1
    (folder / "params.yaml").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for dataset in ("utkface", "wiki"):
            download.main(dataset, "cropped")
        parse_labels.main("utkface")
        convert_mat.main("wiki")
        for dataset in ("utkface", "wiki"):
            pack.main(dataset, "cropped")
            clean.main(dataset)
            split.main(dataset)
    return folder


@pytest.fixture
def sampled(sample, project):
    """The project folder, with a copy of the sample."""
    return Path(shutil.copytree(sample, project, dirs_exist_ok=True))


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """The database of an MLflow store without runs; MLflow takes a second to make its tables."""
    from faces.tracking import store

    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(folder))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        store.open_client().search_experiments()
    return folder / "mlflow.db"


@pytest.fixture
def tracked(empty_store, tmp_path, monkeypatch):
    """A folder whose MLflow store is empty, as the root of the project."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_store, tmp_path)
    return tmp_path


def picture(seed: int = 0, size: tuple[int, int] = (40, 30)) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str = "JPEG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def tar(names, mode="w:gz"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for i, name in enumerate(names):
            content = encoded(picture(i, (200, 200)))
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def zipped(names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, encoded(picture(0)))
    return buffer.getvalue()
