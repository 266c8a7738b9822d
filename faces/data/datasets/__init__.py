"""One module a dataset: its archives, and how its labels are read. A module is found by the dataset's name.

A module gives HOME (where it is published), LICENCE, LABELS (what they are, in words), ARCHIVES {variant: archives},
face_id(member) -> str | None: the id of the face that a member of an archive shows, None for what is no picture, and
FRAMING: where a face's landmarks lie in its cropped pictures, as finding.cut takes it; UTKFace's where it gives none.
A dataset without `cropped` archives also gives boxes(folder) -> {face id: (left, top, right, bottom)} in pixels of its
full photos; another may, where several faces stand in a photo.
"""

import importlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np


@dataclass(frozen=True)
class Archive:
    """A published file; size in bytes, checksums in hexadecimal, each None where unknown.

    urls: addresses, in the order in which they are tried; about: the size in bytes, roughly, for the plan;
    others: files, or folders, that hold the same pictures in another wrapping; by_hand: how a person gets it.
    """

    name: str
    urls: tuple[str, ...] = ()
    size: int | None = None
    md5: str | None = None
    sha256: str | None = None
    about: int = 0
    others: tuple["Archive", ...] = ()
    by_hand: str = ""

    @property
    def bytes(self) -> int:
        """Size in bytes, roughly where it is not published."""
        return self.size or self.about


def find(name: str) -> ModuleType:
    """Return the module of a dataset."""
    return importlib.import_module(f"faces.data.datasets.{name}")


def archives(module: ModuleType, variant: str) -> tuple[Archive, ...]:
    """Archives to read for a variant; without archives of its own, it is made from the full photos."""
    return module.ARCHIVES[variant if variant in module.ARCHIVES else "full"]


def boxes(module: ModuleType, variant: str, folder: Path) -> dict[str, tuple[float, float, float, float]] | None:
    """Where the faces stand in the photos that a variant is made from, as the module's boxes(folder) tells it.

    None where its pictures are used whole, and for `found` where the module knows no boxes.
    """
    if variant in module.ARCHIVES or (variant == "found" and not hasattr(module, "boxes")):
        return None
    return module.boxes(folder)


def framing(module: ModuleType) -> np.ndarray:
    """Where a face's landmarks lie in a dataset's cropped pictures, as finding.cut takes it."""
    return module.FRAMING if hasattr(module, "FRAMING") else find("utkface").FRAMING
