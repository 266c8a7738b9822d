"""One module a dataset: its archives, and how its labels are read. A module is found by the dataset's name.

A module gives HOME (where it is published), LICENCE, LABELS (what they are, in words), ARCHIVES {variant: archives},
face_id(member) -> str | None: the id of the face that a member of an archive shows, None for what is no picture, and
FRAMING: where a face's landmarks lie in its cropped pictures, as finding.cut takes it; UTKFace's where it gives none.
A dataset without `cropped` archives also gives boxes(folder) -> {face id: (left, top, right, bottom)} in pixels.
"""

import importlib
from dataclasses import dataclass
from types import ModuleType


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
    return importlib.import_module(f"stages.lib.datasets.{name}")


def archives(module: ModuleType, variant: str) -> tuple[Archive, ...]:
    """Archives to read for a variant; without an official crop, `cropped` is made from the full photos."""
    if variant == "cropped" and "cropped" not in module.ARCHIVES:
        return module.ARCHIVES["full"]
    return module.ARCHIVES[variant]
