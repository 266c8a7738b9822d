"""Images are cropped by their box or by the detector, and packed."""

import io
import json
import tarfile

import numpy as np
import pytest
import skimage.data
from PIL import Image

from faces import params
from faces.data import packs, records
from faces.data.datasets import utkface
from faces.images import detection, preprocessing
from stages import download, pack
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


@pytest.fixture
def own(project, edit):
    """A function that makes a table of images, each a face or not, and packs them; returns what pack printed."""
    edit(
        r"^variants:\n", "variants:\n  mine-cropped: {dataset: mine, variant: cropped, reader: table, images: photos}\n"
    )
    edit(r"^datasets: .*", "datasets: [utkface, wiki, mine]")
    edit(r"^tables: \{\}", "tables:\n  mine: {labels: labels.csv, columns: {image: file, age: years}}")
    (project / "photos").mkdir()

    def packed(capsys, **images):
        for name, image in images.items():
            image.save(project / f"photos/{name}.png")
        download.main("mine", "cropped")
        capsys.readouterr()
        pack.main("mine", "cropped")
        return " ".join(capsys.readouterr().err.split())

    return packed


def faces_of(woman, count):
    """Images that a woman's face fills, as chips are."""
    return {f"crop{i}": woman.crop((178 - i, 55, 278, 155 + i)).resize((200, 200)) for i in range(count)}


def test_photos_of_a_table_are_framed_and_crops_stay(own, project, capsys):
    woman = Image.fromarray(skimage.data.astronaut())
    two = Image.new("RGB", (1024, 512))
    two.paste(woman, (0, 0))
    two.paste(woman.transpose(Image.Transpose.FLIP_LEFT_RIGHT), (512, 0))
    output = own(capsys, whole=woman, two=two, none=picture(1, (300, 300)), **faces_of(woman, 2))
    assert "of 5 images looked at, the face fills less than 70% of the shorter side in 2 and more in 2" in output
    assert "no face was found in 1. So faces are detected and framed; variants.mine-cropped.crop" in output
    assert "mine cropped: packed: as it is, a crop: 2; framed: 1" in output
    folder = project / "data/packs/mine/cropped"
    result = packs.Pack(folder)
    assert result.face_ids == ["crop0.png", "crop1.png", "whole.png"]
    whole, crop = (np.asarray(preprocessing.decode(content), float) for content in result.images(np.array([2, 0])))
    assert np.corrcoef(whole.ravel(), crop.ravel())[0, 1] > 0.4  # the same face, of about the same size
    notes = records.read(folder / "notes.csv").set_index("face_id")["note"].to_dict()
    assert notes == {"crop0.png": "as it is, a crop", "crop1.png": "as it is, a crop", "whole.png": "framed"}
    rejects = records.read(folder / "rejects.csv").set_index("face_id")["reject"].to_dict()
    assert rejects == {"none.png": "no face was found", "two.png": "shows several faces that are as near to the middle"}
    assert Image.open(folder / "contact_sheet.jpg").width == 10 * pack.THUMBNAIL


def test_crops_of_a_table_are_not_detected(own, project, capsys):
    output = own(capsys, **faces_of(Image.fromarray(skimage.data.astronaut()), 3), blurred=picture(1, (200, 200)))
    assert "no face was found in 1. So each image is taken as one face, as it is" in output
    assert len(packs.Pack(project / "data/packs/mine/cropped").face_ids) == 4
    assert not (project / "data/packs/mine/cropped/notes.csv").exists()


def test_params_say_whether_faces_are_detected(own, project, edit, capsys):
    edit(r"images: photos", "images: photos, crop: none")
    output = own(capsys, whole=Image.fromarray(skimage.data.astronaut()))
    assert "looked at" not in output
    whole = packs.Pack(project / "data/packs/mine/cropped").images(np.array([0]))
    edit(r"crop: none", "crop: detect")
    assert "packed: framed: 1" in own(capsys, none=picture(1, (300, 300)))
    assert packs.Pack(project / "data/packs/mine/cropped").images(np.array([0])) != whole
    edit(r"reader: utkface\}", "reader: utkface, crop: none}")
    with pytest.raises(params.ParamsError, match="crop: is of the images of a table alone"):
        params.load()


def test_looks_are_at_images_from_all_over_the_archive():
    chosen = pack.some((bytes([i]) for i in range(200)), 48)
    assert len(set(chosen)) == 48
    assert 60 < np.mean([content[0] for content in chosen]) < 140
    assert pack.some(iter([b"a", b"b"]), 48) == [b"a", b"b"]
