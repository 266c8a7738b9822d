"""Images are cropped by their box or by the detector, and packed."""

import io
import json
import tarfile

import numpy as np
import pytest
import skimage.data
from PIL import Image

from faces.data import packs, records
from faces.data.datasets import utkface
from faces.images import detection, preprocessing
from stages import pack
from tests.conftest import encoded, picture


def test_packs_are_read_by_id(tmp_path):
    rows = pack.pack_images([(f"f{i}", encoded(picture(i)), None) for i in range(5)], "cropped", 32, 90, False, 0.4)
    shards = packs.write(rows, tmp_path, 2)
    assert [shard["faces"] for shard in shards] == [2, 2, 1]
    (tmp_path / "pack.json").write_text(json.dumps({"shards": shards}))
    result = packs.Pack(tmp_path)
    assert result.rows(["f3", "none"]).tolist() == [3, -1]
    assert result.images(np.array([4, 0])) == [rows[4]["image"], rows[0]["image"]]
    assert packs.Pack(tmp_path).column("phash").tolist() == [row["phash"] for row in rows]


def test_a_dataset_without_crops_is_cropped_by_its_boxes():
    content = encoded(picture(size=(100, 80)), "PNG")
    lot = [("f", content, (10, 10, 90, 70)), ("g", content, None), ("h", b"", (0, 0, 1, 1))]
    row, *rejects = pack.pack_images(lot, "cropped", 32, 90, True, 0.0)
    assert (row["width"], row["height"]) == (100, 80)
    assert [r["reject"] for r in rejects] == ["no face box", "is empty"]


ASTRONAUT = "20170116172300001_45_1_0"


def photos_of(project, edit, **photos):
    """Archives of UTKFace's photos by name, as download leaves them for utkface-detected."""
    edit(
        r"^  utkface-full: .*",
        "  utkface-full: {dataset: utkface, variant: full, reader: utkface}\n"
        "  utkface-detected: {dataset: utkface, variant: detected, reader: utkface}",
    )
    folder = project / "data/raw/utkface/detected"
    folder.mkdir(parents=True)
    with tarfile.open(folder / "part1.tar.gz", "w:gz") as archive:
        for name, pixels in photos.items():
            content = encoded(Image.fromarray(pixels), "PNG")
            info = tarfile.TarInfo(f"part1/{name}.jpg")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    (folder / "provenance.json").write_text(json.dumps({"kind": "real", "archives": [{"name": "part1.tar.gz"}]}))


def test_found_faces_are_cut_out_of_the_photos_and_others_rejected(project, edit):
    astronaut = skimage.data.astronaut()
    photos_of(
        project, edit, **{"45_1_0_20170116172300001": astronaut, "1_0_0_20170116172300002": skimage.data.rocket()}
    )
    pack.main("utkface", "detected")
    result = packs.Pack("data/packs/utkface/detected")
    assert result.face_ids == [ASTRONAUT]
    assert result.manifest["variant"] == "detected"
    (face,) = detection.FaceDetector(threads=1).detect(Image.fromarray(astronaut))
    side = result.manifest["side"]
    cut = preprocessing.fit(
        detection.crop_face(Image.fromarray(astronaut), face, utkface.FRAMING, detection.CROP_SIDE), "detected", side
    )
    packed = np.asarray(preprocessing.decode(result.images(np.array([0]))[0]), float)
    assert packed.shape == (side, side, 3)
    assert np.abs(packed - np.asarray(cut)).mean() < 3  # what JPEG costs
    assert result.column("width").tolist() == [512]
    assert records.read("data/packs/utkface/detected/rejects.csv").to_dict("records") == [
        {"face_id": "20170116172300002_1_0_0", "reject": "no face was found"}
    ]


def test_where_no_face_is_found_at_all_the_stage_says_so(project, edit):
    photos_of(project, edit, **{"1_0_0_20170116172300002": np.zeros((40, 40, 3), np.uint8)})
    with pytest.raises(SystemExit, match=r"no image could be packed: no face was found \(1\); the sample"):
        pack.main("utkface", "detected")


def test_a_known_box_says_which_face_is_cut_out():
    photo = Image.new("RGB", (900, 512))
    photo.paste(Image.fromarray(skimage.data.astronaut()), (0, 0))
    photo.paste(Image.fromarray(skimage.data.astronaut()[:, ::-1]).resize((256, 256)), (600, 100))
    content = encoded(photo, "PNG")
    boxes = [None, (180, 60, 270, 180), (710, 120, 780, 200), (300, 300, 400, 400)]
    rows = pack.pack_images([(str(box), content, box) for box in boxes], "detected", 64, 92, False, 0, utkface.FRAMING)
    large, same, small, none = rows
    assert large["image"] == same["image"]
    assert none["reject"] == "no face was found"
    pixels = [np.asarray(preprocessing.decode(row["image"]), float) for row in (large, small)]
    assert np.corrcoef(pixels[0].ravel(), pixels[1][:, ::-1].ravel())[0, 1] > 0.9  # the mirrored one
    assert np.corrcoef(pixels[0].ravel(), pixels[1].ravel())[0, 1] < 0.9
