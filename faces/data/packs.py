"""Packs: a few sharded Arrow files of encoded images, read by memory map: every row takes the same time."""

import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

SCHEMA = pa.schema(
    [
        ("face_id", pa.string()),
        ("image", pa.binary()),  # JPEG, RGB
        ("width", pa.int32()),  # of the image as published, in pixels
        ("height", pa.int32()),
        ("brightness", pa.float32()),  # mean luma, 0 to 255
        ("phash", pa.uint64()),  # preprocessing.perceptual_hash
        ("sha256", pa.string()),  # of the bytes as published
    ]
)
BATCH_ROWS = 256  # of a record batch
MANIFEST = "pack.json"


def write(rows: Iterable[dict], folder: Path, shard_faces: int) -> list[dict]:
    """Write rows of SCHEMA as shard-000.arrow, shard-001.arrow, ...; holds BATCH_ROWS rows in memory.

    Returns [{name, faces, sha256}], one per shard.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shards = []
    for number, shard in enumerate(_chunks(rows, shard_faces)):
        path = folder / f"shard-{number:03d}.arrow"
        faces = 0
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, SCHEMA) as writer:
            for chunk in _chunks(shard, BATCH_ROWS):
                batch = list(chunk)
                writer.write_batch(pa.RecordBatch.from_pylist(batch, SCHEMA))
                faces += len(batch)
        with path.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        shards.append({"name": path.name, "faces": faces, "sha256": digest})
    return shards


def _chunks(rows: Iterable, size: int) -> Iterator[Iterator]:
    """Yield iterators of `size` rows each; one must be read to its end before the next."""
    rows = iter(rows)
    for first in rows:
        yield itertools.chain([first], itertools.islice(rows, size - 1))


class Pack:
    """A pack on disk; images are read from there when needed."""

    def __init__(self, folder: Path | str) -> None:
        """Open the shards of a folder. Raises FileNotFoundError where it has no pack."""
        folder = Path(folder)
        manifest = json.loads((folder / MANIFEST).read_text())
        files = [pa.ipc.open_file(pa.memory_map(str(folder / s["name"]))) for s in manifest["shards"]]
        table = pa.concat_tables([file.read_all() for file in files]) if files else SCHEMA.empty_table()
        self.__setstate__((manifest, table))

    def __getstate__(self) -> tuple[dict, pa.Table]:
        """Return what pickle sends to another process, which then has the whole pack in memory."""
        return self.manifest, self.table

    def __setstate__(self, state: tuple[dict, pa.Table]) -> None:
        """Restore a pack that another process opened."""
        self.manifest, self.table = state
        self._chunks = self.table["image"].chunks
        self._starts = np.cumsum([0, *map(len, self._chunks)])  # first row of each chunk, and the number of rows
        self.face_ids = self.table["face_id"].to_pylist()
        self._row = {face: row for row, face in enumerate(self.face_ids)}

    def rows(self, face_ids: Iterable[str]) -> np.ndarray:
        """Row (n,) int64 of each face id; -1 where the pack does not have it."""
        return np.array([self._row.get(face, -1) for face in face_ids], np.int64)

    def images(self, rows: np.ndarray) -> list[bytes]:
        """Encoded images of rows (n,), in their order. Raises IndexError for a row that the pack does not have.

        Each is read from its chunk: `take` would first copy all chunks into one, and fail above 2 GiB.
        """
        rows = np.asarray(rows, np.int64)
        outside = rows[(rows < 0) | (rows >= self._starts[-1])]
        if len(outside):
            raise IndexError(f"row {outside[0]} is not one of the pack's {self._starts[-1]}")
        chunks = np.searchsorted(self._starts, rows, side="right") - 1
        within = rows - self._starts[chunks]
        return [self._chunks[i][j].as_py() for i, j in zip(chunks.tolist(), within.tolist(), strict=True)]

    def column(self, name: str) -> np.ndarray:
        """Values (n,) of one small column of SCHEMA."""
        return self.table[name].to_numpy()
