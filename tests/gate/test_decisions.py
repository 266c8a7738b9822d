"""The gate's statistics on simulated pairs with a known difference; its verdicts on simulated regressions."""

import gzip

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from faces import params, targets
from faces.evaluation import bootstrap, predictions
from faces.gate import baselines, decisions, paired, tolerance
from faces.gate.baselines import Baseline
from faces.reporting import gate_page
from tests.conftest import ROOT

SEEDS = ROOT / "benchmarks/seeds"
GATE = params.Gate(tolerance_sd=2.0, tolerance_years=1.0, tolerance_accuracy=0.05, limits={})
EVALUATE = params.Evaluate(min_group_size=20, bootstrap_samples=2000, confidence=0.95, seed=0)
ETHNICITIES = targets.TARGETS["ethnicity"].classes


def faces(n, seed=0):
    """Labels of n faces, and the difficulty of each (`hard`)."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "face_id": [f"f{i:05d}" for i in range(n)],
            "group": [f"f{i:05d}" for i in range(n)],
            "part": "test",
            "age": rng.integers(0, 75, n).astype(float),
            "sex": rng.choice(["male", "female"], n),
            "ethnicity": rng.choice(ETHNICITIES, n, p=[0.4, 0.2, 0.15, 0.15, 0.1]),
            "hard": rng.exponential(1, n),
        }
    )


def predict(table, seed, years=4.0, wrong=0.12):
    """Predictions of a model: age errors and the probability of a wrong class grow with `hard`."""
    rng = np.random.default_rng(seed)
    n = len(table)
    age = table["age"] + rng.normal(0, years, n) * (0.5 + table["hard"])
    chance = np.minimum(wrong * (0.4 + 0.6 * table["hard"]), 1)
    sex = np.where(rng.random(n) < chance, table["sex"].map({"male": "female", "female": "male"}), table["sex"])
    other = rng.choice(ETHNICITIES, n)
    ethnicity = np.where(rng.random(n) < chance * 1.25, other, table["ethnicity"])
    rows = table.assign(age_predicted=age, age_mean=age, age_bin="25-49", sex_predicted=sex)
    return rows.assign(ethnicity_predicted=ethnicity)


def no_tolerances(table, min_group_size=20):
    return tolerance.slice_sizes(table, min_group_size).set_index(["target", "slice"])["n"] * 0.0


def compare(candidate, baseline, tolerances=None, samples=2000, seed=0):
    tolerances = no_tolerances(baseline) if tolerances is None else tolerances
    settings = EVALUATE.model_copy(update={"bootstrap_samples": samples, "seed": seed})
    return paired.compare(candidate, baseline, tolerances, settings)


def test_intervals_cover_a_known_difference_at_the_stated_rate():
    """300 pairs of models, one of them 1 year and 6 % worse by design; the truth is the mean of 200,000 faces.

    Age errors have heavy tails here, which reduces the coverage of groups of under 60 faces by two or three points.
    """
    crowd = faces(200_000, 99)
    a, b = predict(crowd, 1), predict(crowd, 2, years=5.25, wrong=0.18)
    truth = {}
    groups = paired.slices(crowd, 20)
    for name in ("age", "sex", "ethnicity"):
        difference = paired.loss(targets.TARGETS[name], b) - paired.loss(targets.TARGETS[name], a)
        truth |= {(name, label): difference[inside].mean() for label, inside in groups.items()}
    assert 0.8 < truth["age", "all faces"] < 1.6
    coverage = []
    for repeat in range(300):
        table = faces(300, 1000 + repeat)
        rows = compare(predict(table, repeat, years=5.25, wrong=0.18), predict(table, repeat + 5000), samples=500)
        true = np.array([truth[key] for key in zip(rows["target"], rows["slice"], strict=True)])
        inside = (rows["low"] <= true) & (true <= rows["high"])
        coverage.append(pd.DataFrame({"target": rows["target"], "small": rows["n"] < 60, "inside": inside}))
    rate = pd.concat(coverage).groupby(["target", "small"])["inside"].mean()
    assert rate["age", False] == pytest.approx(0.94, abs=0.02), rate
    assert rate["age", True] == pytest.approx(0.92, abs=0.02), rate
    assert rate[["sex", "ethnicity"]].between(0.934, 0.98).all(), rate


def test_equal_models_are_called_regressed_no_more_often_than_stated():
    """Of 75 pairs of equally good models, at most 5 % may be called worse for any group, with tolerances of 0.

    75 are enough because the p-values of all slices, some 9,000, are counted too: 5 % of them are below 0.05 (the
    standard error of the rate is 0.4 points), and at most 0.1 % below 0.001, which the correction relies on.
    A much worse model is called so with as few bootstrap samples, which shows that this test can fail.
    """
    table, false_alarms, p = faces(300, 7), 0, []
    bad = compare(predict(table, 1, years=20.0, wrong=0.45), predict(table, 2), samples=1000)
    assert (bad["verdict"] == decisions.REGRESSED).mean() > 0.4
    for repeat in range(75):
        table = faces(300, repeat)
        rows = compare(predict(table, 2 * repeat), predict(table, 2 * repeat + 1), samples=1000)
        false_alarms += (rows["verdict"] == decisions.REGRESSED).any()
        assert len(rows) > 40
        p.append(rows["p"].to_numpy())
    assert false_alarms <= 5  # 5 % of 75 is 4
    p = np.concatenate(p)
    assert (p < 0.05).mean() == pytest.approx(0.05, abs=0.012)
    assert (p < 0.001).mean() <= 0.001


def test_the_same_predictions_are_unchanged_everywhere():
    table = predict(faces(300), 1)
    rows = compare(table, table)
    assert (rows["verdict"] == decisions.UNCHANGED).all()
    assert (rows["difference"] == 0).all()


def test_a_model_that_is_worse_for_one_group_is_called_so_for_that_group():
    old = predict(faces(600), 1)
    now = predict(faces(600), 1)
    black = (now["ethnicity"] == "black").to_numpy()
    now.loc[black, "age_predicted"] += 15
    rows = compare(now, old, no_tolerances(old) + 0.5)
    worse = rows[rows["verdict"] == decisions.REGRESSED]
    assert set(worse["target"]) == {"age"}
    assert "black" in set(worse["slice"])
    assert not {"white", "asian", "indian", "others"} & set(worse["slice"])


@pytest.mark.parametrize(("worse", "better"), [(0, 0), (1, 0), (3, 3), (2, 9), (31, 14)])
def test_mcnemar_is_the_binomial_test_of_the_faces_on_which_models_differ(worse, better):
    now = np.array([1.0] * worse + [0.0] * better + [0.0, 1.0, 1.0])
    old = np.array([0.0] * worse + [1.0] * better + [0.0, 1.0, 1.0])
    wanted = scipy.stats.binomtest(worse, worse + better).pvalue if worse + better else 1.0
    assert paired.mcnemar(now, old) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize(("right", "n"), [(0, 20), (20, 20), (1, 1), (3, 20), (299, 300)])
def test_the_interval_of_a_share_is_that_of_clopper_and_pearson(right, n):
    wanted = scipy.stats.binomtest(right, n).proportion_ci(0.95)
    assert bootstrap.exact(right / n, n, 0.95) == pytest.approx((wanted.low, wanted.high), abs=1e-10)


def test_the_first_verdict_that_applies_is_given():
    row = {"tolerance": 1.0, "p_holm": 0.5, "low": -0.5, "high": 0.5}
    assert paired.verdict(row | {"p_holm": 0.01}, 0.05) == decisions.REGRESSED
    assert paired.verdict(row, 0.05) == decisions.UNCHANGED
    assert (
        paired.verdict(row | {"low": -0.9, "high": -0.1}, 0.05) == decisions.UNCHANGED
    )  # better, by less than the tolerance
    assert paired.verdict(row | {"low": -3.0, "high": -0.1}, 0.05) == decisions.IMPROVED
    assert paired.verdict(row | {"high": 3.0}, 0.05) == decisions.INCONCLUSIVE


@pytest.mark.parametrize("folder", sorted(SEEDS.glob("*/")), ids=lambda folder: folder.name)
def test_unchanged_code_with_other_seeds_passes_every_time(folder):
    """Twenty trainings of one commit that differ only in their seed; none of them was used for the tolerances."""
    p = params.load(ROOT / "params.yaml")
    base = baselines.load(folder.name, lambda file: (folder / file).read_bytes())
    passed, reasons = set(), []
    for name, rows in baselines.unpack((folder / "seeds.csv.gz").read_bytes(), folder.name).items():
        model, seed = name.split(" seed ")
        one = Baseline({model: {}}, base.predictions, base.seed_sd)
        result, *_ = decisions.decide({model: rows}, {model: {}}, one, {}, p.gate, p.evaluate)
        passed.add(seed)
        reasons += [text for text in result["models"][model]["reasons"] if not text.startswith(decisions.NOTE)]
    assert len(passed) >= 20
    assert reasons == []


def test_there_are_seeds_to_replay():
    assert list(SEEDS.glob("*/seeds.csv.gz"))


def test_holm_by_hand():
    assert bootstrap.holm(np.array([0.01, 0.04, 0.03])) == pytest.approx([0.03, 0.06, 0.06])


def test_comparisons_of_all_faces_share_half_of_the_error_rate_and_groups_the_other():
    p = np.array([0.01, 0.02, 0.001, 0.002, 0.5, 0.6])
    whole = np.array([True, True, False, False, False, False])
    assert paired.adjusted(p, whole) == pytest.approx([0.04, 0.04, 0.008, 0.012, 1.0, 1.0])


def test_a_loss_over_all_faces_is_told_though_there_are_many_groups():
    """A p of 0.007 over all faces is significant beside 130 groups; in one family with them it would not be."""
    p = np.concatenate([[0.007, 0.3, 0.4], np.linspace(0.01, 1, 130)])
    assert bootstrap.holm(p)[0] == pytest.approx(0.007 * 133)
    assert paired.adjusted(p, np.arange(len(p)) < 3)[0] == pytest.approx(0.042)


def spread_of(rows, **changed):
    """A spread of seeds of model m, measured on the faces of rows with recipe r unless changed."""
    row = {"model": "m", "target": "age", "slice": "all faces", "n": len(rows), "seeds": 5, "sd": 0.1, "recipe": "r"}
    return pd.DataFrame([row | {"faces": baselines.faces_digest(rows)} | changed], columns=baselines.SEED_COLUMNS)


@pytest.mark.parametrize(
    ("changed", "note"),
    [
        ({}, ""),
        ({"recipe": "s"}, "of these settings:"),
        ({"faces": "0"}, "of these test faces:"),
        ({"faces": "0", "recipe": ""}, "of these test faces and settings:"),
    ],
)
def test_a_spread_of_other_faces_or_settings_is_used_and_said(changed, note):
    rows = predict(faces(100), 1)
    old = Baseline({"m": {}}, {"m": rows}, spread_of(rows, **changed), recipes={"m": "r"})
    result, *_ = decisions.decide({"m": rows}, {"m": {}}, old, {}, GATE, EVALUATE)
    assert result["verdict"] in (decisions.UNCHANGED, decisions.INCONCLUSIVE)
    assert note in "".join(result["models"]["m"]["reasons"])
    assert bool(result["models"]["m"]["reasons"]) == bool(note)


def test_a_recipe_is_the_same_with_another_seed():
    about = {"recipe": {"seed": 1, "train": {"dropout": 0.3}}}
    other = {"recipe": {"seed": 2, "train": {"dropout": 0.3}}}
    assert baselines.recipe_digest(about) == baselines.recipe_digest(other)
    assert baselines.recipe_digest(about) != baselines.recipe_digest({"recipe": {"seed": 1, "train": {"dropout": 0.2}}})


def test_a_p_value_counts_the_value_among_the_samples():
    samples = np.array([0.5, 1.0, 2.0, 3.0])
    assert bootstrap.p_value(samples, 2.0) == 3 / 5
    assert bootstrap.p_value(samples, 9.0) == 1 / 5  # never 0
    many = np.random.default_rng(0).normal(size=2000)
    assert bootstrap.p_value(many, 1.645) == pytest.approx(0.05, abs=0.015)


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_there_are_enough_samples_to_find_one_regression_among_all_comparisons(confidence, monkeypatch):
    """A thousand samples give no p below 1 / 1001, which Holm's adjustment multiplies by some 60 comparisons."""
    taken, counts = [], bootstrap.counts
    monkeypatch.setattr(bootstrap, "counts", lambda *args: taken.append(args[1]) or counts(*args))
    old = predict(faces(200), 1)
    now = old.assign(age_predicted=old["age_predicted"].where(old["sex"] == "male", old["age"] + 40))
    settings = EVALUATE.model_copy(update={"bootstrap_samples": 1000, "confidence": confidence})
    tolerances = no_tolerances(old)
    rows = paired.compare(now, old, tolerances, settings)
    assert len(rows) == len(tolerances) > 40
    assert set(taken) == {max(1000, int(np.ceil(2 * len(tolerances) / (1 - confidence))))}
    best = rows.loc[rows["p"].idxmin()]
    assert best["p"] == pytest.approx(1 / (1 + taken[0]))
    assert best["verdict"] == decisions.REGRESSED


def test_tolerances_follow_the_measured_sd():
    sizes = pd.DataFrame(
        {"target": ["age", "age", "sex"], "slice": ["all faces", "black", "all faces"], "n": [400, 100, 400]}
    )
    seeds = pd.DataFrame({"target": ["age", "age"], "slice": ["all faces", "black"], "n": [400, 100], "sd": [0.1, 0.2]})
    tolerances = tolerance.tolerances(seeds, sizes, GATE)
    assert tolerances["age", "all faces"] == pytest.approx(2 * np.sqrt(2) * 0.1)  # variances are 4 / n exactly
    assert tolerances["age", "black"] == pytest.approx(2 * np.sqrt(2) * 0.2)
    assert tolerances["sex", "all faces"] == GATE.tolerance_accuracy
    lucky = tolerance.tolerances(seeds.assign(sd=[0.1, 0.0]), sizes, GATE)
    assert lucky["age", "black"] > lucky["age", "all faces"] * 0.9  # an sd that is 0 by chance is not used


def test_sd_over_seeds_by_hand():
    table = predict(faces(100), 1)
    better = table.assign(age_predicted=table["age"] + 3)
    worse = table.assign(age_predicted=table["age"] - 5)
    rows = tolerance.sd_over_seeds([better, worse], 20).set_index(["target", "slice"])
    assert rows.loc[("age", "all faces"), "sd"] == pytest.approx(np.sqrt(2))
    assert rows.loc[("sex", "all faces"), "sd"] == 0


def decide(now, old, scores=None, limits=None, metrics=None):
    scores = {"m": {"age_mae": 5.0}} if scores is None else scores
    baseline = Baseline(metrics or {"m": {"age_mae": 5.0}}, {"m": old}) if old is not None else None
    return decisions.decide(now, scores, baseline, limits or {}, GATE, EVALUATE)


def test_other_test_faces_and_other_labels_are_reported():
    table = predict(faces(100), 1)
    result, *_ = decide({"m": table.iloc[1:]}, table)
    assert result["verdict"] == decisions.OTHER_FACES
    assert result["models"]["m"]["reasons"] == ["other test faces: 0 new and 1 gone since the baseline"]
    other = (
        table.assign(sex=["male", *table["sex"].iloc[1:]])
        if table["sex"][0] == "female"
        else table.assign(sex=["female", *table["sex"].iloc[1:]])
    )
    result, *_ = decide({"m": other}, table)
    assert "other test faces: 1 with another sex label" in result["models"]["m"]["reasons"][0]


def test_removed_and_missed_scores_are_reported():
    table = predict(faces(100), 1)
    result, *_ = decide({"m": table}, table, metrics={"m": {"age_mae": 5.0, "sex_accuracy": 0.9}})
    assert result["models"]["m"] == {
        "verdict": decisions.REMOVED, "reasons": ["vanished: sex_accuracy: not there any more"],
    }  # fmt: skip
    result, *_ = decide({}, table, scores={})
    assert result["models"]["m"]["reasons"] == ["vanished: the model is gone"]
    result, *_ = decide({"m": table}, table, limits={"m": {"age_mae": 4.0}})
    assert result["models"]["m"]["reasons"] == ["beyond its limit: age_mae is 5.0, and 4.0 is the worst allowed"]
    assert gate_page.failed({"x": result}, False)


def test_a_missing_baseline_stops_only_ci():
    result, table, others = decide({"m": predict(faces(100), 1)}, None)
    assert result["verdict"] == decisions.NO_BASELINE
    assert not gate_page.failed({"x": result}, missing_fails=False)
    assert gate_page.failed({"x": result}, missing_fails=True)
    assert "no baseline" in gate_page.page({"x": result}, table, others, 0.95)


def test_too_few_faces_are_inconclusive_and_an_absent_class_is_left_out():
    few = predict(faces(15), 1)
    result, rows, _ = decide({"m": few}, few)
    assert result["verdict"] == decisions.INCONCLUSIVE
    assert not len(rows)
    assert "too few" in result["models"]["m"]["reasons"][0]
    one = predict(faces(100), 1).assign(sex="male", sex_predicted="male")
    result, rows, _ = decide({"m": one}, one)
    assert result["verdict"] == decisions.UNCHANGED
    assert "female" not in set(rows["slice"])


def test_the_page_begins_with_failures():
    old = predict(faces(300), 1)
    now = old.assign(sex_predicted=np.where(old["sex"] == "female", "male", old["sex_predicted"]))
    result, rows, others = decide({"m": now}, old)
    page = gate_page.page({"x": result}, rows.assign(name="x"), others.assign(name="x"), 0.95)
    lines = page.splitlines()
    assert lines[0] == "# Gate: x regressed"
    assert lines[2] == "- ❌ **x, m: regressed**"
    assert lines[3].startswith("    - regressed: sex accuracy of ")
    assert gate_page.first_part(page).splitlines() == lines[: lines.index("## Regressed") - 1]
    assert gate_page.by_model({"x": result}) == "m regressed"
    assert page.index("## Regressed") < page.index("## All faces") < page.index("<details>")
    assert any("female" in line and "regressed" in line for line in lines[3:30])


def test_a_baseline_is_read_as_it_was_written(project):
    table = predict(faces(50), 1).round(3)
    old = baselines.Baseline({"m": {"age_mae": 5.0}}, {"m": table}, accepted="a larger test set")
    baselines.write("x", old)
    first = (baselines.FOLDER / "x" / baselines.PREDICTIONS).read_bytes()
    new = baselines.load("x")
    baselines.write("x", new)
    assert (baselines.FOLDER / "x" / baselines.PREDICTIONS).read_bytes() == first
    assert new.metrics == old.metrics
    assert new.accepted == "a larger test set"
    assert not predictions.aligned(new.predictions["m"], predictions.nameless(table))
    assert b"f00001" not in gzip.decompress(first)
    assert baselines.load("y") is None


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("about.json", b"[]"),
        ("about.json", b'{"format": 1}'),
        ("about.json", b'{"format": 1, "metrics": {"m": {"age_mae": "low"}}}'),
        ("about.json", b'{"format": "\xff"}'),
        ("predictions.csv.gz", b"text"),
        ("predictions.csv.gz", b""),
        ("predictions.csv.gz", gzip.compress(b"")),
        ("predictions.csv.gz", gzip.compress(b"face_id,part\na,test\n")),
        ("predictions.csv.gz", gzip.compress(b"x" * 500)[:20]),
        ("spread.csv", b"a,b\n1,2\n"),
        ("spread.csv", b"model,target,slice,n,seeds,sd\nm,age,all faces,9,5,much\n"),
        ("spread.csv", b"model,target,slice,n,seeds,sd\nm,age,all faces,9,5,\n"),
        ("spread.csv", b"\xff\xfe\x00"),
        ("spread.csv", b""),
    ],
)
def test_a_damaged_file_of_a_baseline_is_named(project, file, content):
    baselines.write("x", Baseline({"m": {}}, {"m": predict(faces(30), 1)}))
    baselines.load("x")
    (baselines.FOLDER / "x" / file).write_bytes(content)
    with pytest.raises(predictions.PredictionsError, match=rf"^baseline x: {file} cannot be read .*`make baseline`"):
        baselines.load("x")


def test_errors_name_bad_baselines_and_predictions(project):
    table = predict(faces(30), 1)
    baselines.write("x", Baseline({"m": {}}, {"m": table}))
    about = baselines.FOLDER / "x" / baselines.ABOUT
    about.write_text(about.read_text().replace('"format": 1', '"format": 7'))
    with pytest.raises(predictions.PredictionsError, match="has format 7, not 1"):
        baselines.load("x")
    about.write_text("{")
    with pytest.raises(predictions.PredictionsError, match=r"about\.json cannot be read"):
        baselines.load("x")
    with pytest.raises(predictions.PredictionsError, match="'f00000' occurs twice"):
        predictions.checked(pd.concat([table, table.iloc[:1]]), "here")
    with pytest.raises(predictions.PredictionsError, match="here: face 'f00003': age_predicted is 'nan', which is no"):
        predictions.checked(table.assign(age_predicted=table["age_predicted"].where(table.index != 3)), "here")
    with pytest.raises(predictions.PredictionsError, match="sex_predicted is 'men', which is no prediction of sex"):
        predictions.checked(table.assign(sex_predicted="men"), "here")
