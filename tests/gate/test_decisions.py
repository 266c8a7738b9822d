"""The gate's statistics against simulated pairs of known difference; its verdicts on planted harm."""

import gzip

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from faces import params, targets
from faces.evaluation import bootstrap, predictions
from faces.gate import baselines, decisions, paired, seed_spread
from faces.gate.baselines import Baseline
from faces.reporting import gate_page
from tests.conftest import ROOT

SEEDS = ROOT / "benchmarks/seeds"
GATE = params.Gate(spreads=2.0, years=1.0, share=0.05, floors={})
EVALUATE = params.Evaluate(min_n=20, resamples=2000, confidence=0.95, seed=0)
ETHNICITIES = targets.TARGETS["ethnicity"].classes


def faces(n, seed=0):
    """Labels of n faces, and how hard each is."""
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


def said(table, seed, years=4.0, wrong=0.12):
    """What a model says of the faces: its errors are as large as a face is hard, its mistakes likelier."""
    rng = np.random.default_rng(seed)
    n = len(table)
    age = table["age"] + rng.normal(0, years, n) * (0.5 + table["hard"])
    chance = np.minimum(wrong * (0.4 + 0.6 * table["hard"]), 1)
    sex = np.where(rng.random(n) < chance, table["sex"].map({"male": "female", "female": "male"}), table["sex"])
    other = rng.choice(ETHNICITIES, n)
    ethnicity = np.where(rng.random(n) < chance * 1.25, other, table["ethnicity"])
    rows = table.assign(age_predicted=age, age_mean=age, age_bin="25-49", sex_predicted=sex)
    return rows.assign(ethnicity_predicted=ethnicity)


def no_margins(table, min_n=20):
    return seed_spread.sizes(table, min_n).set_index(["target", "slice"])["n"] * 0.0


def compared(now, old, margins=None, resamples=2000, seed=0):
    margins = no_margins(old) if margins is None else margins
    return paired.compare(now, old, margins, 20, resamples, 0.95, seed)


def test_intervals_cover_a_known_difference_at_the_stated_rate():
    """300 pairs of models of which one is 1 year and 6 % worse by design; the truth is the mean of 200,000 faces.

    Errors of age have heavy tails here, which costs groups of under 60 faces two or three points of coverage.
    """
    crowd = faces(200_000, 99)
    a, b = said(crowd, 1), said(crowd, 2, years=5.25, wrong=0.18)
    truth = {}
    groups = paired.slices(crowd, 20)
    for name in ("age", "sex", "ethnicity"):
        difference = paired.loss(targets.TARGETS[name], b) - paired.loss(targets.TARGETS[name], a)
        truth |= {(name, label): difference[inside].mean() for label, inside in groups.items()}
    assert 0.8 < truth["age", "all faces"] < 1.6
    held = []
    for repeat in range(300):
        table = faces(300, 1000 + repeat)
        rows = compared(said(table, repeat, years=5.25, wrong=0.18), said(table, repeat + 5000), resamples=500)
        true = np.array([truth[key] for key in zip(rows["target"], rows["slice"], strict=True)])
        inside = (rows["low"] <= true) & (true <= rows["high"])
        held.append(pd.DataFrame({"target": rows["target"], "small": rows["n"] < 60, "inside": inside}))
    rate = pd.concat(held).groupby(["target", "small"])["inside"].mean()
    assert rate["age", False] == pytest.approx(0.94, abs=0.02), rate
    assert rate["age", True] == pytest.approx(0.92, abs=0.02), rate
    assert rate[["sex", "ethnicity"]].between(0.934, 0.98).all(), rate


def test_equal_models_are_called_regressed_no_more_often_than_stated():
    """Of 75 pairs of equally good models, at most 5 % may be called worse for anybody, with no margin forgiven.

    They are so few because the p-values of all slices, some 9,000, are counted too: below 0.05 are 5 % of them (a
    standard error of the rate is 0.4 points), and below 0.001 no more than 0.1 %, which the correction relies on.
    A dreadful model is called so with as few resamples, so that this can fail.
    """
    table, wrongly, p = faces(300, 7), 0, []
    dreadful = compared(said(table, 1, years=20.0, wrong=0.45), said(table, 2), resamples=1000)
    assert (dreadful["verdict"] == decisions.REGRESSED).mean() > 0.4
    for repeat in range(75):
        table = faces(300, repeat)
        rows = compared(said(table, 2 * repeat), said(table, 2 * repeat + 1), resamples=1000)
        wrongly += (rows["verdict"] == decisions.REGRESSED).any()
        assert len(rows) > 40
        p.append(rows["p"].to_numpy())
    assert wrongly <= 5  # 5 % of 75 is 4
    p = np.concatenate(p)
    assert (p < 0.05).mean() == pytest.approx(0.05, abs=0.012)
    assert (p < 0.001).mean() <= 0.001


def test_the_same_predictions_are_unchanged_everywhere():
    table = said(faces(300), 1)
    rows = compared(table, table)
    assert (rows["verdict"] == decisions.UNCHANGED).all()
    assert (rows["difference"] == 0).all()


def test_a_model_that_is_worse_for_one_group_is_called_so_for_that_group():
    old = said(faces(600), 1)
    now = said(faces(600), 1)
    struck = (now["ethnicity"] == "black").to_numpy()
    now.loc[struck, "age_predicted"] += 15
    rows = compared(now, old, no_margins(old) + 0.5)
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


def test_verdicts_are_tried_in_their_order():
    row = {"margin": 1.0, "p_holm": 0.5, "low": -0.5, "high": 0.5}
    assert paired.verdict(row | {"p_holm": 0.01}, 0.05) == decisions.REGRESSED
    assert paired.verdict(row, 0.05) == decisions.UNCHANGED
    assert (
        paired.verdict(row | {"low": -0.9, "high": -0.1}, 0.05) == decisions.UNCHANGED
    )  # better, by less than the margin
    assert paired.verdict(row | {"low": -3.0, "high": -0.1}, 0.05) == decisions.IMPROVED
    assert paired.verdict(row | {"high": 3.0}, 0.05) == decisions.INCONCLUSIVE


@pytest.mark.parametrize("folder", sorted(SEEDS.glob("*/")), ids=lambda folder: folder.name)
def test_unchanged_code_with_other_seeds_passes_every_time(folder):
    """Twenty trainings of one commit that differ in their seed alone, none of them among those behind the margins."""
    p = params.load(ROOT / "params.yaml")
    base = baselines.load(folder.name, lambda file: (folder / file).read_bytes())
    passed, shut = set(), []
    for name, rows in baselines.unpack((folder / "seeds.csv.gz").read_bytes(), folder.name).items():
        model, seed = name.split(" seed ")
        one = Baseline({model: {}}, base.predictions, base.spread)
        found, *_ = decisions.judge({model: rows}, {model: {}}, one, {}, p.gate, p.evaluate)
        passed.add(seed)
        shut += found["models"][model]["reasons"]
    assert len(passed) >= 20
    assert shut == []


def test_there_are_seeds_to_replay():
    assert list(SEEDS.glob("*/seeds.csv.gz"))


def test_holm_by_hand():
    assert bootstrap.holm(np.array([0.01, 0.04, 0.03])) == pytest.approx([0.03, 0.06, 0.06])


def test_few_resamples_do_not_floor_a_p_value():
    drawn = np.random.default_rng(0).normal(size=2000)
    assert bootstrap.tail(drawn, 6.0) < 1e-5
    assert bootstrap.tail(drawn, 1.645) == pytest.approx(0.05, abs=0.015)


def test_margins_follow_the_measured_spread():
    sizes = pd.DataFrame(
        {"target": ["age", "age", "sex"], "slice": ["all faces", "black", "all faces"], "n": [400, 100, 400]}
    )
    seeds = pd.DataFrame({"target": ["age", "age"], "slice": ["all faces", "black"], "n": [400, 100], "sd": [0.1, 0.2]})
    found = seed_spread.margins(seeds, sizes, GATE)
    assert found["age", "all faces"] == pytest.approx(2 * np.sqrt(2) * 0.1)  # variances are 4 / n exactly
    assert found["age", "black"] == pytest.approx(2 * np.sqrt(2) * 0.2)
    assert found["sex", "all faces"] == GATE.share
    lucky = seed_spread.margins(seeds.assign(sd=[0.1, 0.0]), sizes, GATE)
    assert (
        lucky["age", "black"] > lucky["age", "all faces"] * 0.9
    )  # a slice whose seeds agreed by chance is not trusted


def test_spread_by_hand():
    table = said(faces(100), 1)
    better = table.assign(age_predicted=table["age"] + 3)
    worse = table.assign(age_predicted=table["age"] - 5)
    rows = seed_spread.over_seeds([better, worse], 20).set_index(["target", "slice"])
    assert rows.loc[("age", "all faces"), "sd"] == pytest.approx(np.sqrt(2))
    assert rows.loc[("sex", "all faces"), "sd"] == 0


def judged(now, old, numbers=None, floors=None, metrics=None):
    numbers = {"m": {"age_mae": 5.0}} if numbers is None else numbers
    baseline = Baseline(metrics or {"m": {"age_mae": 5.0}}, {"m": old}) if old is not None else None
    return decisions.judge(now, numbers, baseline, floors or {}, GATE, EVALUATE)


def test_other_test_faces_and_other_labels_are_said():
    table = said(faces(100), 1)
    found, *_ = judged({"m": table.iloc[1:]}, table)
    assert found["verdict"] == decisions.STRANGERS
    assert found["models"]["m"]["reasons"] == ["other test faces: 0 new and 1 gone since the baseline"]
    other = (
        table.assign(sex=["male", *table["sex"].iloc[1:]])
        if table["sex"][0] == "female"
        else table.assign(sex=["female", *table["sex"].iloc[1:]])
    )
    found, *_ = judged({"m": other}, table)
    assert "other test faces: 1 with another sex label" in found["models"]["m"]["reasons"][0]


def test_what_vanished_and_what_is_below_its_floor_is_said():
    table = said(faces(100), 1)
    found, *_ = judged({"m": table}, table, metrics={"m": {"age_mae": 5.0, "sex_accuracy": 0.9}})
    assert found["models"]["m"] == {
        "verdict": decisions.VANISHED, "reasons": ["vanished: sex_accuracy: not there any more"],
    }  # fmt: skip
    found, *_ = judged({}, table, numbers={})
    assert found["models"]["m"]["reasons"] == ["vanished: the model is gone"]
    found, *_ = judged({"m": table}, table, floors={"m": {"age_mae": 4.0}})
    assert found["models"]["m"]["reasons"] == ["below its floor: age_mae is 5.0, and 4.0 is the worst allowed"]
    assert gate_page.failed({"x": found}, False)


def test_a_missing_baseline_stops_only_ci():
    found, compared, others = judged({"m": said(faces(100), 1)}, None)
    assert found["verdict"] == decisions.MISSING
    assert not gate_page.failed({"x": found}, missing_fails=False)
    assert gate_page.failed({"x": found}, missing_fails=True)
    assert "no baseline" in gate_page.markdown({"x": found}, compared, others, 0.95)


def test_too_few_faces_and_one_class_give_no_verdict_on_what_cannot_be_told():
    few = said(faces(15), 1)
    found, rows, _ = judged({"m": few}, few)
    assert found["verdict"] == decisions.INCONCLUSIVE
    assert not len(rows)
    assert "too few" in found["models"]["m"]["reasons"][0]
    one = said(faces(100), 1).assign(sex="male", sex_predicted="male")
    found, rows, _ = judged({"m": one}, one)
    assert found["verdict"] == decisions.UNCHANGED
    assert "female" not in set(rows["slice"])


def test_the_page_leads_with_what_failed():
    old = said(faces(300), 1)
    now = old.assign(sex_predicted=np.where(old["sex"] == "female", "male", old["sex_predicted"]))
    found, rows, others = judged({"m": now}, old)
    page = gate_page.markdown({"x": found}, rows.assign(name="x"), others.assign(name="x"), 0.95)
    lines = page.splitlines()
    assert lines[0] == "# Gate: x regressed"
    assert lines[2] == "- ❌ **x, m: regressed**"
    assert lines[3].startswith("    - regressed: sex accuracy of ")
    assert page.index("## Regressed") < page.index("## All faces") < page.index("<details>")
    assert any("female" in line and "regressed" in line for line in lines[3:30])


def test_a_baseline_is_read_as_it_was_written(project):
    table = said(faces(50), 1).round(3)
    old = baselines.Baseline({"m": {"age_mae": 5.0}}, {"m": table}, accepted="a larger test set")
    baselines.write("x", old)
    first = (baselines.FOLDER / "x" / baselines.PREDICTIONS).read_bytes()
    found = baselines.load("x")
    baselines.write("x", found)
    assert (baselines.FOLDER / "x" / baselines.PREDICTIONS).read_bytes() == first
    assert found.metrics == old.metrics
    assert found.accepted == "a larger test set"
    assert not predictions.aligned(found.predictions["m"], predictions.nameless(table))
    assert b"f00001" not in gzip.decompress(first)
    assert baselines.load("y") is None


def test_bad_baselines_and_predictions_are_named(project):
    table = said(faces(30), 1)
    baselines.write("x", Baseline({"m": {}}, {"m": table}))
    about = baselines.FOLDER / "x" / baselines.ABOUT
    about.write_text(about.read_text().replace('"format": 1', '"format": 7'))
    with pytest.raises(predictions.PredictionsError, match="is of format 7, and this is 1"):
        baselines.load("x")
    about.write_text("{")
    with pytest.raises(predictions.PredictionsError, match=r"about\.json cannot be read"):
        baselines.load("x")
    with pytest.raises(predictions.PredictionsError, match="'f00000' stands in it twice"):
        predictions.checked(pd.concat([table, table.iloc[:1]]), "here")
    with pytest.raises(predictions.PredictionsError, match="here: face 'f00003': age_predicted is 'nan', which is no"):
        predictions.checked(table.assign(age_predicted=table["age_predicted"].where(table.index != 3)), "here")
    with pytest.raises(predictions.PredictionsError, match="sex_predicted is 'men', which is no prediction of sex"):
        predictions.checked(table.assign(sex_predicted="men"), "here")
