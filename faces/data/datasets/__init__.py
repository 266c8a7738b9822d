"""One module per dataset, found by its name: its archives, and how its labels are read.

A dataset module must define:

    HOME      str: address where the dataset is published; "" where it is not
    LICENCE   str: its terms of use, in a few words
    ARCHIVES  {"cropped" or "full": (Archive, ...)}: its files by variant; every variant that is not a key is made
              from those of `full`
    face_id(member: str) -> str | None: id of the face that a member of an archive shows, the same in every variant;
              None for a member that is not an image

It may define:

    LABELS    str: where its labels come from, for the reports; without it, they are reported as the user's own
    FRAMING   (5, 2) float array: where a face's landmarks are in its cropped images, as detection.crop_face takes
              it; UTKFace's where it has none

Functions that read labels have no common form, since each belongs to one stage. parse_labels calls labels(face id) of a
dataset that it lists, which returns {column: label}, or {"reject": reason}. convert_mat calls read_mat and records of
imdb_wiki, and read_table calls read and records of table. All may give box_left, box_top, box_right and box_bottom:
where the face is in its full photo, in pixels. They are required where ARCHIVES has no `cropped`, and useful where a
photo shows several faces.
"""

import importlib
from dataclasses import dataclass
from types import ModuleType

import numpy as np


@dataclass(frozen=True)
class Archive:
    """A published file; size in bytes, checksums in hexadecimal, each None where unknown.

    urls: addresses, in the order in which they are tried; about: rough size in bytes, for the plan;
    alternatives: files or folders that hold the same images in another format; by_hand: how a user downloads it.
    """

    name: str
    urls: tuple[str, ...] = ()
    size: int | None = None
    md5: str | None = None
    sha256: str | None = None
    about: int = 0
    alternatives: tuple["Archive", ...] = ()
    by_hand: str = ""

    @property
    def bytes(self) -> int:
        """Size in bytes, roughly where it is not published."""
        return self.size or self.about


def find(name: str) -> ModuleType:
    """Return the module of a dataset. Raises ModuleNotFoundError."""
    return importlib.import_module(f"faces.data.datasets.{name}")


def archives(module: ModuleType, variant: str) -> tuple[Archive, ...]:
    """Archives that a variant is made from: its own, or else those of the full photos."""
    return module.ARCHIVES[variant if variant in module.ARCHIVES else "full"]


def framing(module: ModuleType) -> np.ndarray:
    """Where a face's landmarks are in a dataset's cropped images, as detection.crop_face takes it."""
    return module.FRAMING if hasattr(module, "FRAMING") else find("utkface").FRAMING
