"""Soft targets: the teachers' probabilities for training faces, from which students learn beside the labels."""

import zipfile
from pathlib import Path

import numpy as np

FILE = "soft_targets.npz"


def write(folder: Path, face_ids: np.ndarray, probabilities: dict[str, np.ndarray]) -> None:
    """Write probabilities {target: (n, units)} of faces (n,), as float16; NaN rows where there are none."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {target: p.astype(np.float16) for target, p in probabilities.items()}
    arrays["face_ids"] = np.asarray(face_ids, str)
    with zipfile.ZipFile(folder / FILE, "w") as file:  # np.savez gives other bytes from one Python 3.11 to the next
        for name, values in arrays.items():
            with file.open(zipfile.ZipInfo(f"{name}.npy"), "w") as part:
                np.lib.format.write_array(part, values, allow_pickle=False)


def read(folder: Path, face_ids: np.ndarray, targets: list[str]) -> dict[str, np.ndarray]:
    """Probabilities {target: (n, units)} float32 of faces (n,), NaN for faces that the file does not hold.

    Only of targets that the file holds; without teachers it holds none.
    """
    with np.load(folder / FILE) as arrays:
        row = {face: i for i, face in enumerate(arrays["face_ids"].tolist())}
        at = np.array([row.get(face, -1) for face in face_ids], int)
        probabilities = {}
        for target in targets:
            if target in arrays:
                p = arrays[target].astype(np.float32)[at]
                p[at < 0] = np.nan
                probabilities[target] = p / p.sum(axis=1, keepdims=True)
        return probabilities
