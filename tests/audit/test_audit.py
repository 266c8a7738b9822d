"""Leaks that were planted are found, labels that were spoilt are doubted, copies' labels give their floor."""

import hashlib
import io
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageEnhance

from faces import targets
from faces.audit import label_issues, leaks, neighbours
from faces.data import duplicates, packs, records
from faces.data.sample import drawing
from faces.images import preprocessing
from stages import clean, split


def synthetic(n, side=104):
    """Faces as the sample draws them, as arrays (n, side, side, 3)."""
    return np.stack(drawing.squares(n, 9, side))


def near_copy(image):
    """A face as somebody else published it: mirrored, a little smaller, darker, and compressed."""
    turned = Image.fromarray(image[:, ::-1]).crop((2, 2, 102, 102)).resize((104, 104), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    ImageEnhance.Brightness(turned).enhance(0.8).save(buffer, "JPEG", quality=50)
    return np.asarray(Image.open(buffer))


def looked(images, ids, part, embed):
    lumas = np.stack([preprocessing.luma(Image.fromarray(image)) for image in images])
    return {
        "ids": np.array(ids), "part": np.array([part] * len(ids)), "hash": preprocessing.perceptual_hash(lumas),
        "thumbnails": duplicates.shrink(images), "embedding": embed(images),
    }  # fmt: skip


def eye(images):
    """What stands for a network here: sees no difference between a face and its mirror image, nor brightness."""
    rows = duplicates.shrink(images).astype(float)
    rows = (rows - rows.mean(axis=(1, 2), keepdims=True)) / rows.std(axis=(1, 2), keepdims=True)
    coarse = (rows + rows[:, :, ::-1]).reshape(len(rows), 6, 4, 6, 4).mean(axis=(2, 4))
    return coarse.reshape(len(rows), -1)


def test_a_planted_near_copy_is_caught_and_strangers_are_not():
    images = synthetic(60)
    test, others = images[:20], np.concatenate([images[20:], near_copy(images[7])[None]])
    result = leaks.near_copies(
        looked(test, [f"t{i}" for i in range(20)], "test", eye),
        looked(others, [f"o{i}" for i in range(41)], "train", eye),
        0.82,
    )
    caught = result[result["duplicate"]]
    assert set(zip(caught["face_id"], caught["other"], strict=True)) == {("t7", "o40")}
    assert set(caught["by"]) == {"embedding"}  # its hash is far off, since it is mirrored
    assert caught["hash_bits"].min() > 10
    none = {key: value[:0] for key, value in looked(test, [f"t{i}" for i in range(20)], "test", eye).items()}
    assert not leaks.near_copies(none, none, 0.82)["duplicate"].any()


def test_the_nearest_hash_is_that_of_all_pairs():
    rng = np.random.default_rng(0)
    ours, others = (rng.integers(0, 2**63, n, np.uint64) for n in (700, 50))
    index, bits = neighbours.nearest_hash(ours, others)
    apart = np.array([[bin(int(a) ^ int(b)).count("1") for b in others] for a in ours[:30]])
    assert (bits[:30] == apart.min(axis=1)).all()
    assert (apart[np.arange(30), index[:30]] == bits[:30]).all()
    assert (neighbours.nearest_hash(ours, others[:0])[1] == 64).all()


def test_the_nearest_embedding_is_that_of_all_pairs():
    rng = np.random.default_rng(0)
    ours, others = rng.normal(size=(600, 8)), rng.normal(size=(40, 8))
    index, cosine = neighbours.nearest_embedding(ours, others, 3)
    a, b = (rows - others.mean(axis=0) for rows in (ours, others))
    wanted = (a @ b.T) / np.linalg.norm(a, axis=1)[:, None] / np.linalg.norm(b, axis=1)
    assert (index == np.argsort(-wanted, axis=1)[:, :3]).all()
    assert np.allclose(cosine[:, 0], wanted.max(axis=1), atol=1e-5)


def predict(n=200, seed=0):
    """A good model's predictions of n faces, ages and sexes."""
    rng = np.random.default_rng(seed)
    sex, age = rng.choice(["male", "female"], n), rng.integers(10, 60, n).astype(float)
    p = np.where(np.arange(n) % 10 == 0, 0.99, rng.uniform(0.85, 0.95, n))
    right = np.where(sex == "female", p, 1 - p)
    return pd.DataFrame(
        {
            "face_id": [f"f{i:03d}" for i in range(n)], "part": "val", "age": age, "sex": sex,
            "age_predicted": age + rng.normal(0, 2, n), "age_low": age - 8, "age_high": age + 8,
            "sex_predicted": sex, "sex_p_female": right, "sex_p_male": 1 - right,
        }
    )  # fmt: skip


def test_spoilt_labels_are_the_most_doubted():
    rows = predict()
    spoilt = [30, 50, 120]
    rows.loc[spoilt, "sex"] = rows.loc[spoilt, "sex"].map({"male": "female", "female": "male"})
    rows.loc[[10], "age"] += 40
    result = label_issues.contradicted_labels({"a": rows, "b": rows.assign(age_predicted=rows["age_predicted"] + 0.5)})
    sex = result[result["target"] == "sex"]
    assert set(sex["face_id"].head(3)) == {f"f{i:03d}" for i in spoilt}
    assert sex["contradicted"].sum() == 3
    age = result[result["target"] == "age"]
    assert age["face_id"].iloc[0] == "f010"
    assert age["contradicted"].tolist()[:2] == [True, False]
    assert age["doubt"].iloc[0] > 2


def test_a_label_that_one_model_believes_is_not_contradicted():
    rows = predict()
    rows.loc[[30], "sex"] = rows.loc[[30], "sex"].map({"male": "female", "female": "male"})
    believer = rows.assign(sex_predicted=rows["sex"])
    swapped = believer.loc[30, ["sex_p_male", "sex_p_female"]].to_numpy()
    believer.loc[30, ["sex_p_female", "sex_p_male"]] = swapped
    assert label_issues.contradicted_labels({"a": rows})["contradicted"].sum() == 1
    result = label_issues.contradicted_labels({"a": rows, "b": believer})
    assert not result.loc[result["target"] == "sex", "contradicted"].any()


def test_a_class_that_no_face_has_is_no_error():
    rows = predict().assign(sex="male", sex_predicted="male")
    result = label_issues.class_issues(rows, targets.TARGETS["sex"])
    assert len(result) == len(rows)


def test_disagreement_of_copies_by_hand():
    rows = pd.DataFrame(
        {"face_id": list("abcde"), "first": list("aaadd"), "age": [20.0, 24.0, 40.0, 10.0, np.nan],
         "sex": ["male", "male", "female", "male", "male"], "ethnicity": [""] * 5}
    )  # fmt: skip
    result = label_issues.label_noise(rows)
    assert result["photos"] == 2
    assert result["age_images"] == 3  # d has one known age
    assert result["age_label_noise"] == pytest.approx((4 + 0 + 16) / 3, abs=1e-4)  # from the median, 24
    assert result["age_mean_difference"] == pytest.approx((4 + 20 + 16) / 3, abs=1e-4)
    assert result["sex_label_noise"] == pytest.approx(1 / 5)
    assert "ethnicity_label_noise" not in result


def pack(folder, images, names):
    encoded = [preprocessing.encode(Image.fromarray(image), 90) for image in images]
    rows = [
        {"face_id": name, "image": image, "width": 1, "height": 1, "brightness": 0.0, "phash": 0,
         "sha256": hashlib.sha256(image).hexdigest()}
        for name, image in zip(names, encoded, strict=True)
    ]  # fmt: skip
    shards = packs.write(rows, folder, 100)
    (folder / "pack.json").write_text(json.dumps({"shards": shards}))
    return packs.Pack(folder)


def test_photos_that_two_datasets_share_are_listed(project):
    a, b, c, z = synthetic(4)
    one = pack(project / "data/packs/one/cropped", [a, b, c, near_copy(a)], ["a", "b", "c", "d"])
    pack(project / "data/packs/two/cropped", [z, a, near_copy(b)], ["z", "x", "y"])
    result = leaks.shared_with("one", one, "two", 0.82)
    assert result.to_numpy().tolist() == [["a", "two", "x", True], ["b", "two", "y", False], ["d", "two", "x", False]]
    assert not len(leaks.shared_with("one", one, "one", 0.82))


def test_a_random_split_keeps_all_copies_and_tears_them_apart():
    rows = records.frame(pd.DataFrame({"face_id": [f"f{i:03d}" for i in range(400)], "age": 20.0, "identity": ""}))
    rows["reject"] = ""
    near = np.arange(400).reshape(200, 2)
    faces, dropped, conflicts = clean.group(rows, near, np.arange(400).astype(str), 5, deduplicate=False)
    assert (len(faces), len(dropped), len(conflicts)) == (400, 0, 0)
    apart = split.assign_parts(faces["face_id"], 0.1, 0.1, 0.05, 0)
    joint = split.assign_parts(faces["group"], 0.1, 0.1, 0.05, 0)
    assert apart.groupby(faces["group"]).nunique().max() == 2
    assert joint.groupby(faces["group"]).nunique().max() == 1
