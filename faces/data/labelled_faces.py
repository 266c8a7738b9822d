"""Faces of one part of a split, as training and evaluation take them; no TensorFlow."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from faces import params, targets
from faces.data import packs, records
from faces.images import preprocessing

BATCH = 256  # pictures decoded together


@dataclass
class Faces:
    """Faces of one part: rows of a pack and their labels {target: (values, known)}, as targets.encode gives them."""

    pack: packs.Pack
    rows: np.ndarray
    labels: dict[str, tuple[np.ndarray, np.ndarray]]
    cell: np.ndarray = field(default_factory=lambda: np.zeros(0, int))

    def __len__(self) -> int:
        """Count the faces."""
        return len(self.rows)

    def where(self, chosen: np.ndarray) -> "Faces":
        """Those of a mask (n,), or at indices, in that order."""
        labels = {name: (values[chosen], known[chosen]) for name, (values, known) in self.labels.items()}
        return Faces(self.pack, self.rows[chosen], labels, self.cell[chosen])


def open_pack(row: params.Model) -> tuple[packs.Pack, pd.DataFrame]:
    """Open the pack and the split that a row of models names."""
    return packs.Pack(f"data/packs/{row.dataset}/{row.variant}"), records.read(f"data/splits/{row.dataset}.csv")


def of(split: pd.DataFrame, pack: packs.Pack, part: str, wanted: list[str]) -> tuple[Faces, np.ndarray]:
    """Faces of a part that the pack holds, in the split's order, and their ids.

    `cell` numbers age bin x sex of each face, for balance; faces without one of them share a cell.
    """
    rows = split[split["part"] == part]
    at = pack.rows(rows["face_id"])
    rows, at = rows[at >= 0], at[at >= 0]
    labels = {name: targets.encode(targets.TARGETS[name], rows[name].to_numpy()) for name in wanted}
    cell = targets.age_bin(rows["age"].to_numpy(float)) * 3 + rows["sex"].map({"male": 1, "female": 2}).fillna(0)
    return Faces(pack, at, labels, cell.to_numpy(int)), rows["face_id"].to_numpy()


def view(side: int, settings: params.Train) -> tuple[int, int, int, float]:
    """What of packed pictures of a side in pixels a network sees, as pictures.to_input takes it.

    Side, crop, size and zoom: faces of one scale look different to it than those of random scales (Touvron et al.
    2019), and at 1, where crop and size are the same, no pixel is softened as in training.
    """
    return side, settings.crop or settings.image_size, settings.image_size, settings.zoom


def pixels(faces: Faces, side: int, crop: int, size: int, zoom: float = 1.0, step: int = BATCH) -> Iterator[np.ndarray]:
    """Batches (n, size, size, 3) uint8 of the middles of the faces' pictures, in order, as prediction sees them.

    side, crop, size, zoom: as pictures.to_input takes them.
    """
    for start in range(0, len(faces), step):
        encoded = faces.pack.images(faces.rows[start : start + step])
        yield np.stack(
            [preprocessing.to_input(preprocessing.decode(content), side, crop, size, zoom) for content in encoded]
        )
