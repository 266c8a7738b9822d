"""Faces of one part of a split with their labels, as training and evaluation use them; no TensorFlow."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from faces import params, targets
from faces.data import packs, records
from faces.images import preprocessing
from faces.runtime import progress

BATCH = 256  # images decoded together


@dataclass
class Faces:
    """Faces of one part: rows of a pack and their labels {target: (values, known)}, as targets.encode gives them.

    cell: (n,) int, age bin x sex of each face, for balance; faces without one of them share a cell.
    """

    pack: packs.Pack
    rows: np.ndarray
    labels: dict[str, tuple[np.ndarray, np.ndarray]]
    cell: np.ndarray = field(default_factory=lambda: np.zeros(0, int))

    def __len__(self) -> int:
        """Number of faces."""
        return len(self.rows)

    def where(self, chosen: np.ndarray) -> "Faces":
        """Return the faces of a mask (n,) or of indices, in that order."""
        labels = {name: (values[chosen], known[chosen]) for name, (values, known) in self.labels.items()}
        return Faces(self.pack, self.rows[chosen], labels, self.cell[chosen])


def open_pack(row: params.Model) -> tuple[packs.Pack, pd.DataFrame]:
    """Open the pack and the split of a row of models."""
    return packs.Pack(f"data/packs/{row.dataset}/{row.variant}"), records.read(split_file(row.dataset))


def split_file(dataset: str) -> Path:
    """File of the split of a dataset."""
    return Path("data/splits") / f"{dataset}.csv"


def select_part(split: pd.DataFrame, pack: packs.Pack, part: str, target_names: list[str]) -> tuple[Faces, np.ndarray]:
    """Return the faces of a part that the pack has, in the split's order, and their ids (n,)."""
    faces = split[split["part"] == part]
    rows = pack.rows(faces["face_id"])
    faces, rows = faces[rows >= 0], rows[rows >= 0]
    labels = {name: targets.encode(targets.TARGETS[name], faces[name].to_numpy()) for name in target_names}
    cell = targets.age_bin(faces["age"].to_numpy(float)) * 3 + faces["sex"].map({"male": 1, "female": 2}).fillna(0)
    return Faces(pack, rows, labels, cell.to_numpy(int)), faces["face_id"].to_numpy()


def check_labels(parts: dict[str, Faces]) -> None:
    """Say which classes no face of a part has. Raises SystemExit where a part has no label of a target at all."""
    for part, faces in parts.items():
        for name, (values, known) in faces.labels.items():
            target = targets.TARGETS[name]
            if not known.any():
                raise SystemExit(
                    f"no face of the part {part!r} has a label of {name}: take it out of the model's `targets` in "
                    "params.yaml, or see data/clean/ for what became of the labels"
                )
            missing = set(range(target.units)) - set(values[known > 0].astype(int)) if target.kind == "classes" else ()
            if missing:
                names = ", ".join(target.classes[i] for i in sorted(missing))
                progress.say(f"warning: no face of the part {part!r} is labelled {names} ({name})")


def view(side: int, settings: params.Train) -> tuple[int, int, int, float]:
    """Side, crop, size and zoom with which preprocessing.to_input prepares packed images for a network.

    side: of the packed images, in pixels. Zoom corrects for two differences to training: faces of one scale look
    different to a network than those of random scales (Touvron et al. 2019), and at zoom 1, with crop equal to size, no
    pixel is softened by interpolation.
    """
    return side, settings.crop or settings.image_size, settings.image_size, settings.zoom


def pixels(faces: Faces, side: int, crop: int, size: int, zoom: float = 1.0, step: int = BATCH) -> Iterator[np.ndarray]:
    """Yield batches (n, size, size, 3) uint8 of the faces' images, in order, prepared as for prediction.

    side, crop, size, zoom: as in preprocessing.to_input.
    """
    for start in range(0, len(faces), step):
        encoded = faces.pack.images(faces.rows[start : start + step])
        yield np.stack(
            [preprocessing.to_input(preprocessing.decode(content), side, crop, size, zoom) for content in encoded]
        )
