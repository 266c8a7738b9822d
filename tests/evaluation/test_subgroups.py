"""Scores and gaps of groups against hand-computed values."""

import numpy as np
import pandas as pd
import pytest

from faces import params, targets
from faces.evaluation import group_files, predictions, reliability, subgroups

ETHNICITIES = targets.TARGETS["ethnicity"].classes


def table(n=400, seed=0):
    """Faces whose error is 2 years for men and 6 for women, at all ages; women are older."""
    rng = np.random.default_rng(seed)
    sex = rng.choice(["male", "female"], n)
    age = np.where(sex == "male", rng.integers(10, 40, n), rng.integers(20, 50, n)).astype(float)
    error = np.where(sex == "male", 2.0, -6.0)
    right = rng.random(n) < 0.9
    return pd.DataFrame(
        {
            "face_id": [f"f{i}" for i in range(n)], "group": [f"f{i}" for i in range(n)], "part": "test", "age": age,
            "sex": sex, "age_predicted": age + error, "age_low": age - 5, "age_high": age + np.where(right, 5, -1),
            "sex_predicted": np.where(right, sex, "male"), "sex_p_male": 0.5, "sex_p_female": 0.5,
        }
    )  # fmt: skip


@pytest.fixture
def sums():
    return subgroups.Sums(table(), 500, 0)


def select(rows, **keys):
    for key, value in keys.items():
        rows = rows[rows[key] == value]
    (row,) = rows.to_dict("records")
    return row


def test_scores_of_faces_by_hand():
    faces = pd.DataFrame(
        {
            "age": [30, 30, 30, 30, np.nan], "age_predicted": [35, 25, 36, 24, 30],
            "age_low": [30, 20, 31, 20, 20], "age_high": [40, 30, 40, 29, 40],
            "sex": ["male", "male", "female", "", "female"],
            "sex_predicted": ["male", "female", "female", "male", "male"],
        }
    )  # fmt: skip
    wanted = {
        ("age", "mae"): [5, 5, 6, 6, np.nan],
        ("age", "bias"): [5, -5, 6, -6, np.nan],
        ("age", "within_5"): [1, 1, 0, 0, np.nan],
        ("age", "coverage"): [1, 1, 0, 0, np.nan],
        ("age", "width"): [10, 10, 9, 9, np.nan],
        ("sex", "accuracy"): [1, 0, 1, np.nan, 0],
    }

    def face_scores(rows):
        values = {name: predictions.face_scores(rows, target) for name, target in targets.TARGETS.items()}
        return {(name, score): value for name, by_score in values.items() for score, value in by_score.items()}

    computed = face_scores(faces)
    assert computed.keys() == wanted.keys()
    for key, values in wanted.items():
        np.testing.assert_array_equal(computed[key], values, str(key))
    assert set(face_scores(faces.drop(columns=["age_low", "sex_predicted"]))) == set(list(wanted)[:3])
    for column in ("age", "age_predicted"):
        assert set(face_scores(faces.drop(columns=column))) == {("sex", "accuracy")}


def test_cells_are_of_one_decade_and_class():
    cell, cells = subgroups.cells_of(
        pd.DataFrame({"age": [9.9, 10, np.nan, 25, 9], "sex": ["male", "female", "", "", "male"]})
    )
    assert cells["decade"].iloc[cell].tolist() == [0, 1, -1, 2, 0]
    assert cells["sex"].iloc[cell].tolist() == ["male", "female", "", "", "male"]
    assert (len(cells), cell[0]) == (4, cell[4])


def test_groups_are_all_faces_bins_classes_and_crossings():
    rows = pd.DataFrame({"age": [9.0, 30.0, np.nan], "sex": ["male", "", "male"]})
    result = {(axis, name): inside.tolist() for axis, name, inside in predictions.groups(rows)}
    assert len(result) == 1 + 5 + 2 + 5 * 2
    assert result["", "all faces"] == [True] * 3
    assert result["age", "age 25-49"] == [False, True, False]
    assert result["sex", "male"] == [True, False, True]
    assert result["age x sex", "age 0-24, male"] == [True, False, False]
    assert [axis for axis, *_ in predictions.groups(rows, crossed=False)] == [""] + ["age"] * 5 + ["sex"] * 2


@pytest.mark.filterwarnings("error")
def test_scores_of_groups_by_hand(sums):
    faces, result = table(), subgroups.group_scores(sums, 20, 0.95)
    men = select(result, target="age", score="mae", group="male")
    assert (men["value"], men["low"], men["high"], men["n"]) == (2.0, 2.0, 2.0, (faces["sex"] == "male").sum())
    assert select(result, target="age", score="bias", group="female")["value"] == pytest.approx(-6)
    women = faces[faces["sex"] == "female"]
    recall = select(result, target="sex", score="recall", group="female")
    assert recall["value"] == pytest.approx((women["sex_predicted"] == "female").mean())
    assert recall["low"] < recall["value"] < recall["high"]
    held = select(result, target="age", score="coverage", group="all faces")
    assert held["value"] == pytest.approx((faces["age_high"] >= faces["age"]).mean())
    crossing = faces[(faces["age"] < 25) & (faces["sex"] == "male")]
    row = select(result, target="age", score="mae", group="age 0-24, male")
    assert (row["by"], row["n"]) == ("age x sex", len(crossing))


@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_the_interval_of_a_mean_is_as_wide_as_its_standard_error_says(confidence):
    faces = table()
    faces["age_predicted"] = faces["age"] + np.random.default_rng(1).normal(0, 5, len(faces))
    row = select(
        subgroups.group_scores(subgroups.Sums(faces, 4000, 0), 20, confidence), score="bias", group="all faces"
    )
    half = {0.9: 1.645, 0.95: 1.96}[confidence] * (faces["age_predicted"] - faces["age"]).std() / 20
    assert row["high"] - row["value"] == pytest.approx(half, rel=0.08)
    assert row["value"] - row["low"] == pytest.approx(half, rel=0.08)


def test_a_group_of_the_least_size_has_a_score_and_a_gap():
    faces = table(60).assign(sex=["male"] * 20 + ["female"] * 40)
    sums = subgroups.Sums(faces, 50, 0)
    assert np.isfinite(select(subgroups.group_scores(sums, 20, 0.95), target="age", score="mae", group="male")["value"])
    assert np.isnan(select(subgroups.group_scores(sums, 21, 0.95), target="age", score="mae", group="male")["value"])
    assert "sex" in set(subgroups.gaps(sums, 20, 0.95)["by"])
    assert "sex" not in set(subgroups.gaps(sums, 21, 0.95)["by"])


def test_a_small_group_has_its_n_and_no_score(sums):
    result = subgroups.group_scores(sums, 500, 0.95)
    row = select(result, target="age", score="mae", group="male")
    assert row["n"] > 100
    assert np.isnan(row["value"])


def test_the_gap_between_groups_has_an_interval(sums):
    result = subgroups.gaps(sums, 20, 0.95)
    gap = select(result, target="age", score="mae", by="sex", ages="as they are")
    assert (gap["worst"], gap["best"], gap["gap"]) == ("female", "male", 4.0)
    assert gap["low"] == pytest.approx(4)
    assert gap["high"] == pytest.approx(4)
    recall = select(result, target="sex", score="accuracy", by="sex", ages="as they are")
    assert recall["worst"] == "female"
    assert recall["low"] < recall["gap"] < recall["high"] < 0
    assert set(result.loc[result["by"] == "age", "ages"]) == {"as they are"}  # though two bins share the twenties


@pytest.mark.parametrize("ages", ["as they are", "equal"])
def test_the_gap_of_biases_goes_from_too_young_to_too_old(ages):
    faces = table()
    faces["age_predicted"] = faces["age"] + np.where(faces["sex"] == "male", 2.0, -3.0)
    row = select(subgroups.gaps(subgroups.Sums(faces, 100, 0), 20, 0.95), score="bias", by="sex", ages=ages)
    assert (row["worst"], row["best"], row["gap"]) == ("female", "male", pytest.approx(-5))
    faces["age_predicted"] = faces["age"] + np.where(faces["sex"] == "male", 3.0, -2.0)
    row = select(subgroups.gaps(subgroups.Sums(faces, 100, 0), 20, 0.95), score="bias", by="sex", ages=ages)
    assert (row["worst"], row["best"], row["gap"]) == ("male", "female", pytest.approx(5))
    faces["age_predicted"] = faces["age"] + np.where(faces["sex"] == "male", 3.0, -3.0)  # as far off: the highest
    row = select(subgroups.gaps(subgroups.Sums(faces, 100, 0), 20, 0.95), score="bias", by="sex", ages=ages)
    assert (row["worst"], row["best"], row["gap"]) == ("male", "female", pytest.approx(6))


def test_ages_of_one_decade_are_equal_as_they_are():
    faces = table(200).assign(age=33.0)
    faces["age_predicted"] = 33 + np.random.default_rng(2).normal(0, 5, len(faces)) * np.where(
        faces["sex"] == "male", 1, 2
    )
    result = subgroups.gaps(subgroups.Sums(faces, 500, 0), 20, 0.95)
    one, other = (select(result, score="mae", by="sex", ages=ages) for ages in ("as they are", "equal"))
    assert one["low"] < one["gap"] < one["high"]
    assert [other[key] for key in ("gap", "low", "high")] == pytest.approx([one[key] for key in ("gap", "low", "high")])


@pytest.mark.filterwarnings("error")
def test_resamples_that_hold_one_group_alone_do_not_count():
    """One man and one woman with 20 photos each: in every other resample of two people, one of them is drawn twice."""
    faces = table(40).assign(sex=["male", "female"] * 20, group=["m", "f"] * 20)
    faces["age_predicted"] = faces["age"] + np.where(faces["sex"] == "male", 2.0, -6.0)
    row = select(subgroups.gaps(subgroups.Sums(faces, 100, 0), 20, 0.95), score="mae", by="sex", ages="as they are")
    assert (row["gap"], row["low"], row["high"]) == (4, 4, 4)


def test_at_equal_ages_a_decade_weighs_what_it_does_among_all_faces():
    """Weights are 60 and 20 of 80: men 3/4 x 1 + 1/4 x 5 = 2 years off, women 3; few men are in their thirties."""
    counts = [  # age, sex, error, faces
        (5, "male", 1, 10), (5, "female", 3, 50), (55, "male", 5, 5), (55, "female", 3, 15),
        (35, "male", 90, 4), (35, "female", 3, 40), (np.nan, "male", 0, 9),
    ]  # fmt: skip
    rows = [(age, sex, error) for age, sex, error, count in counts for _ in range(count)]
    faces = pd.DataFrame(rows, columns=["age", "sex", "error"])
    faces = faces.assign(age_predicted=faces["age"] + faces["error"], group=[f"f{i}" for i in range(len(faces))])
    faces["sex_predicted"] = faces["sex"].where(faces["age"].notna() & (faces["age"] != 35), "female")
    result = subgroups.gaps(subgroups.Sums(faces, 200, 0), 10, 0.95)
    row = select(result, score="mae", by="sex", ages="equal")
    assert (row["worst"], row["n_worst"], row["best"], row["n_best"]) == ("female", 65, "male", 15)
    assert row["gap"] == pytest.approx(1)
    assert (row["low"], row["high"]) == pytest.approx((1, 1))  # all of a cell are as far off
    assert select(result, score="accuracy", by="sex", ages="equal")["gap"] == pytest.approx(
        0
    )  # the rest is not compared
    assert select(result, score="accuracy", by="sex", ages="as they are")["gap"] == pytest.approx(15 / 28 - 1)


def test_a_gap_that_is_all_age_is_gone_at_equal_ages():
    """Errors are a fifth of the age for all; the groups differ in age alone."""
    faces = table(2000)
    faces["age_predicted"] = faces["age"] * 1.2
    result = subgroups.gaps(subgroups.Sums(faces, 500, 0), 20, 0.95)
    plain = select(result, target="age", score="mae", by="sex", ages="as they are")
    equal = select(result, target="age", score="mae", by="sex", ages="equal")
    assert plain["gap"] == pytest.approx(2, abs=0.15)  # 10 years older
    assert equal["gap"] == pytest.approx(0, abs=0.25)
    assert equal["low"] <= 0.1


def test_the_largest_gap_of_equal_groups_is_not_taken_for_one():
    """Five groups of one kind: the interval of the largest gap of ten must hold 0 as often as it says."""
    held = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        faces = table(300, seed).assign(ethnicity=rng.choice(ETHNICITIES, 300))
        faces["age_predicted"] = faces["age"] + rng.normal(0, 5, 300)
        gap = select(
            subgroups.gaps(subgroups.Sums(faces, 300, 0), 20, 0.95), score="mae", by="ethnicity", ages="as they are"
        )
        held.append(gap["low"] <= 0 <= gap["high"])
    assert np.mean(held) >= 0.9  # of 60; it would be 0.7 if the choice did not count


def test_a_share_of_all_has_an_interval():
    faces = table(60).assign(age_high=120.0)
    row = select(subgroups.group_scores(subgroups.Sums(faces, 200, 0), 20, 0.95), score="coverage", group="all faces")
    assert row["value"] == row["high"] == 1
    assert row["low"] == pytest.approx(0.025 ** (1 / 60))  # Clopper-Pearson


def test_people_are_resampled_whole():
    """Ten photos of each person: intervals are as wide as those of one photo each."""
    one = table(60)
    many = pd.concat([one.assign(face_id=one["face_id"] + f"-{k}") for k in range(10)], ignore_index=True)
    width = []
    for rows in (one, many):
        row = select(
            subgroups.group_scores(subgroups.Sums(rows, 2000, 0), 20, 0.95),
            target="sex",
            score="accuracy",
            group="all faces",
        )
        width.append(row["high"] - row["low"])
    assert width[1] == pytest.approx(width[0], rel=0.1)


def tied(by, classes, right, size):
    """Faces in groups of one size, of each of which as many are told the right sex; ages are told right."""
    faces = table(len(classes) * size)
    faces[by] = np.tile(classes, size)
    message = faces.groupby(by).cumcount() < right
    other = faces["sex"].map({"male": "female", "female": "male"})
    return faces.assign(age_predicted=faces["age"], sex_predicted=faces["sex"].where(message, other))


@pytest.mark.parametrize(
    ("by", "classes", "right", "size", "errors"),
    [
        ("sex", ["male", "female"], 67, 85, 1.96),  # standard errors to each side: of one pair,
        ("ethnicity", ["white", "black", "asian"], 45, 60, 2.34),  # of three (Tukey's 3.31 over the root of 2)
    ],
)
def test_groups_that_score_the_same_have_a_gap_of_0_and_its_interval(by, classes, right, size, errors):
    result = subgroups.gaps(subgroups.Sums(tied(by, classes, right, size), 1000, 0), 20, 0.95)
    row = select(result, target="sex", score="accuracy", by=by, ages="as they are")
    assert {row["worst"], row["best"]} == set(classes[:2])
    assert (row["n_worst"], row["n_best"], row["gap"]) == (size, size, 0)
    share = right / size
    assert row["high"] == pytest.approx(errors * np.sqrt(2 * share * (1 - share) / size), rel=0.1)
    assert row["low"] == -row["high"]


def test_groups_that_are_all_right_have_a_gap_of_0_for_certain():
    result = subgroups.gaps(subgroups.Sums(tied("sex", ["male", "female"], 85, 85), 200, 0), 20, 0.95)
    result = result[result["by"] == "sex"]
    assert set(zip(result["score"], result["ages"], strict=True)) == {
        (score, ages) for score in ("mae", "bias", "accuracy") for ages in ("as they are", "equal")
    }
    assert (result["worst"] != result["best"]).all()
    assert (result[["gap", "low", "high"]] == 0).all(axis=None)


def write_predictions(faces, folder):
    faces = faces.assign(age_mean=faces["age_predicted"], age_bin="25-49")
    faces.to_csv(folder / "predictions.csv", index=False)


def write_subgroups(project):
    out = project / "reports/models/m"
    out.mkdir(parents=True)
    test = predictions.read("m")
    group_files.write(test, {"age": 30.0, "sex": 0.0}, params.load().evaluate, 0.9, out)


@pytest.mark.parametrize("right", [67, 85])
def test_the_stage_runs_where_groups_score_the_same(project, right):
    folder = project / "data/evaluated/m"
    folder.mkdir(parents=True)
    write_predictions(tied("sex", ["male", "female"], right, 85), folder)
    write_subgroups(project)
    row = select(pd.read_csv(project / "reports/models/m/gaps.csv"), target="sex", by="sex", ages="as they are")
    assert (row["gap"], row["low"] < 0) == (0, right == 67)


@pytest.mark.parametrize("kept", ["none", "men", "ten"])
def test_the_stage_runs_on_a_test_part_that_tells_little(project, kept):
    faces = table(100)
    faces = {"none": faces.assign(part="val"), "men": faces[faces["sex"] == "male"], "ten": faces[:10]}[kept]
    folder = project / "data/evaluated/m"
    folder.mkdir(parents=True)
    write_predictions(faces, folder)
    write_subgroups(project)
    pd.read_csv(project / "reports/models/m/gaps.csv")
    result = pd.read_csv(project / "reports/models/m/subgroups.csv")
    assert result["value"].notna().any() == (kept == "men")
    assert "female" not in set(result["group"]) or kept == "ten"


def test_an_empty_test_and_one_of_one_class_are_no_error():
    faces = table(100)
    men = faces[faces["sex"] == "male"]
    result = subgroups.group_scores(subgroups.Sums(men, 100, 0), 20, 0.95)
    assert "female" not in set(result["group"])
    assert "sex" not in set(subgroups.gaps(subgroups.Sums(men, 100, 0), 20, 0.95)["by"])
    none = faces[:0]
    result = subgroups.group_scores(subgroups.Sums(none, 100, 0), 20, 0.95)
    assert (result["n"] == 0).all()
    assert result["value"].isna().all()
    assert not len(reliability.by_group(none, 20))
    assert subgroups.worst(subgroups.Sums(none, 100, 0), 20, 0.95) == {}


def test_the_interval_of_the_worst_group_holds_though_it_was_selected():
    """Groups that are truly alike: some group is the worst by chance, and an interval of it alone misses too often."""
    inside, alone = [], []
    for repeat in range(100):
        rng = np.random.default_rng(repeat)
        faces = table(400, repeat).assign(ethnicity=rng.choice(ETHNICITIES, 400))
        faces["age_predicted"] = faces["age"] + rng.exponential(5, len(faces)) * rng.choice([-1, 1], len(faces))
        sums = subgroups.Sums(faces, 400, 0)
        row = subgroups.worst(sums, 20, 0.95)["age"]
        inside.append(row["low"] <= 5 <= row["high"])
        scored = subgroups.group_scores(sums, 20, 0.95)
        own = scored[(scored["score"] == "mae") & (scored["group"] == row["group"])].iloc[0]
        alone.append(own["low"] <= 5 <= own["high"])
        assert row["value"] == pytest.approx(own["value"], abs=0.005)
    assert np.mean(inside) >= 0.94
    assert np.mean(alone) <= 0.85
