"""What is published follows from the files of a run, and a run that falls short of it is told apart."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml

from commands.experiments import ablations, folds, seeds
from commands.publish import costs, pages, recipe, shipped
from faces import params, targets
from faces.evaluation import score_tables
from faces.reporting import cards, index_page, model_card


def row(title, value, low, high, n=100):
    return {"title": title, "n": n, "value": value, "low": low, "high": high}


def test_a_run_inside_the_intervals_holds_and_one_outside_is_named():
    published = pd.DataFrame(
        [row("MAE", 4.4, 4.2, 4.6), row("accuracy of sex", 0.94, 0.93, 0.95), row("few faces", np.nan, np.nan, np.nan)]
    )
    now = pd.DataFrame([row("MAE", 4.5, 4.3, 4.7), row("accuracy of sex", 0.94, 0.93, 0.95)])
    assert pages.differences(now, published) == ""
    worse = now.assign(value=[4.61, 0.94])
    assert pages.differences(worse, published) == "MAE: published 4.400 [4.200, 4.600], now 4.610"
    assert "accuracy of sex" in pages.differences(now[:1], published)


def test_a_run_on_other_faces_does_not_hold():
    published = pd.DataFrame([row("MAE", 4.4, 4.2, 4.6)])
    assert pages.differences(published.assign(n=99), published) == "MAE: published of 100 faces, now of 99"
    about = {"digests": {"split": "a"}, "archives": [{"name": "x.tar", "sha256": "1"}]}
    assert pages.other_faces(about, about) == ""
    assert "split: not that" in pages.other_faces(about | {"digests": {"split": "b"}}, about)
    assert "x.tar: not that" in pages.other_faces(about | {"archives": []}, about)


def test_another_worst_group_is_no_difference():
    published = pd.DataFrame([row("worst group, MAE in years: age 75-99", 7.0, 6.0, 8.0)])
    now = pd.DataFrame([row("worst group, MAE in years: age 75-99, male", 9.0, 8.0, 10.0)])
    assert pages.differences(now, published) == ""


def test_a_score_of_a_group_counts_people_once():
    rows = pd.DataFrame(
        {
            "face_id": list("abcd"),
            "group": ["x", "x", "y", "z"],
            "sex": ["male", "female", "male", ""],
            "sex_predicted": ["male", "male", "male", "male"],
        }
    )
    settings = params.load().evaluate.model_copy(update={"min_n": 3, "resamples": 50})
    found = score_tables.one_score(rows, targets.TARGETS["sex"], "accuracy", settings)
    assert (found["n"], round(found["value"], 6)) == (3, 0.666667)  # one has no label
    assert found["low"] <= found["value"] <= found["high"]
    few = score_tables.one_score(rows, targets.TARGETS["sex"], "accuracy", settings.model_copy(update={"min_n": 4}))
    assert few["n"] == 3
    assert np.isnan([few["value"], few["low"], few["high"]]).all()


def test_the_readme_changes_between_its_marks_alone():
    text = "before\n<!-- results of x: by make publish -->\nold\n<!-- end of results of x -->\nafter\n"
    new = pages.between(text, "x", "| new |")
    assert new == text.replace("old", "| new |")
    with pytest.raises(SystemExit, match="between which the table goes"):
        pages.between(text, "y", "| new |")


def test_folds_of_a_published_split_are_shown_and_others_are_not(project, monkeypatch):
    assert pages.folds("m")[-1].startswith("Not measured")
    scores = [{"m": {"age_mae": 4.0}}, {"m": {"age_mae": 4.4}}]
    found = pd.concat([folds.table(scores, {"m": "UTKFace_aligned.json"}), folds.table(scores, {"m": folds.OURS})])
    assert found[["mean", "sd", "folds"]].to_numpy().tolist() == [[4.2, 0.2828, 2], [4.2, 0.2828, 2]]
    pages.FOLDER.mkdir(parents=True, exist_ok=True)
    found.to_csv(pages.FOLDER / "folds.csv", index=False)
    shown = pages.folds("m")[-1]
    assert shown.count("age_mae") == 1
    assert "UTKFace_aligned.json" in shown


def test_minutes_are_of_the_median_epoch_of_each_size():
    assert costs.minutes([0.0, 60.0, 120.0, 4000.0, 4060.0], [96] * 5) == 5.0  # stopped for an hour
    assert costs.minutes([60.0, 120.0, 360.0, 600.0], [48, 48, 96, 96]) == 10.0  # larger pictures take longer
    assert costs.minutes([60.0, 300.0, 540.0], [48, 96, 96]) == 12.0  # the one epoch of its size: as the dearest
    assert costs.minutes([7.0, 7.0, 7.01], [96] * 3) == ""  # logged at once
    assert costs.minutes([7.0], [96]) == ""


def test_earlier_looks_at_the_same_test_faces_are_told(tmp_path):
    def about(commit, weights, faces="1"):
        return {"commit": commit, "digests": {pages.TESTED: faces, "weights": weights}}

    def published(found, mae):
        (tmp_path / pages.ABOUT).write_text(json.dumps(found))
        scores = [{"title": pages.HEADLINES[0][2], "value": mae}, {"title": "of a group", "value": 1.0}]
        pd.DataFrame(scores).to_csv(tmp_path / pages.RESULTS, index=False)

    assert pages.earlier(tmp_path, about("a", "1")) == pages.looks([]) == []
    published(about("a", "1"), 4.6)
    assert pages.earlier(tmp_path, about("b", "1")) == []  # the same model, published again
    first = {"commit": "a", pages.HEADLINES[0][2]: 4.6}
    assert pages.earlier(tmp_path, about("b", "2")) == [first]
    published(about("b", "2") | {"earlier": [first]}, 4.5)
    third = pages.earlier(tmp_path, about("c", "3"))
    assert [row["commit"] for row in third] == ["a", "b"]
    assert pages.earlier(tmp_path, about("c", "2")) == [first]
    assert pages.earlier(tmp_path, about("c", "3", faces="2")) == []
    assert "| 4.5" in pages.looks(third)[4]


def test_test_faces_are_known_by_their_ids_alone(tmp_path):
    def tested(**parts):
        rows = [(face, part) for part, faces in parts.items() for face in faces]
        pd.DataFrame(rows, columns=["face_id", "part"]).to_csv(tmp_path / "split.csv", index=False)
        return pages.tested(tmp_path / "split.csv")

    first = tested(train="abc", val="de", test="fg")
    assert tested(train="abcd", test="gf", val="e") == first
    assert tested(train="abc", val="de", test="fh") != first


def test_a_search_is_told_by_the_best_epoch_of_each_trial():
    history = [{"epoch": 0, "loss": 6.0, "val_score": 0.6}, {"epoch": 1, "loss": 5.0, "val_score": 0.7}]
    history.append({"epoch": 2, "loss": 4.0, "val_score": 0.5})
    other = {"trial": 1, "values": {"learning_rate": 0.00602, "batch_size": 64.0}, "history": history[:1]}
    found = pages.trials({"trials": [{"trial": 0, "values": {}, "history": history}, other]})
    assert found.to_dict("records") == [
        {"trial": 0, "changed": "nothing", "epochs": 3, "score": 0.7},
        {"trial": 1, "changed": "learning_rate 0.00602, batch_size 64", "epochs": 1, "score": 0.6},
    ]
    assert pages.chosen(0.01, {"gain": 0.0073, "values": {}}).endswith("asked for, so these were kept.")
    assert pages.chosen(0.01, {"gain": 0.02, "values": {"dropout": 0.1}}).endswith("its numbers were taken.")
    assert pages.chosen(0.01, {"gain": None, "values": {}}).endswith("this one was not searched for.")


def test_levers_are_shown_by_what_they_change_and_gain():
    scores = {"score": 0.5, "age_mae": 5.0, "score_gain": 0.0, "age_mae_gain": 0.0}
    base = {"lever": "base", "changed": "{}", "epochs": 6, "parameters": 1200.0, "core_minutes": np.nan, **scores}
    wide = '{"models.utkface.options.widths": [64, 128], "train.loss_weights.sex": 3.0}'
    found = {"lever": "wide", "changed": wide, "core_minutes": 38.71, "age_mae": 5.2, "age_mae_gain": -0.2}
    rows = pd.DataFrame([base, base | found])
    first, second = pages.levers_shown(rows)
    assert first["changed"] == "" and first["MAE, years"] == "5.000" and "core minutes" not in first
    assert second["changed"] == "widths [64, 128], loss_weights.sex 3.0"
    assert second["MAE, years"] == "5.200 (-0.200)" and second["score"] == "0.500 (+0.000)"
    assert second["core minutes"] == "38.7" and second["parameters"] == "1,200"
    assert "accuracy of sex" not in second


def test_size_and_cost_are_told_where_they_are_known():
    about = {
        "parameters": 3406292,
        "trained": {"budget": {"precision": "float32"}, "train": {"threads": 2}},
        "cost": {
            "epochs": 26,
            "minutes": 101.4,
            "machine": "Linux",
            "files": {"x.onnx": 6800000},
            "teachers": {},
            "trials": [],
        },
    }
    told = "3,406,292 parameters, `x.onnx` 6.8 MB; trained for 26 epochs on 2 threads, in float32"
    assert pages.size_and_cost(about) == f"{told}, in 101 minutes (Linux)."
    assert pages.size_and_cost(about | {"cost": about["cost"] | {"minutes": ""}}) == f"{told}."
    before = {"minutes": "", "teachers": {"teacher 1": 20, "teacher 2": 18}, "trials": [4, 4, 4]}
    assert pages.size_and_cost(about | {"cost": about["cost"] | before}) == (
        f"{told}. Before it came 2 teachers, which it is distilled from (20 and 18 epochs) and a search of 3 short "
        "trainings (4 epochs each)."
    )


def test_a_teacher_and_nameless_people_are_told_on_a_card(project):
    row = params.load().models["utkface-cropped"]
    assert model_card.start(row, {"lesson": 0.5}, 0) == "trained from scratch"
    weighted = row.model_copy(update={"options": {"weights": "imagenet"}})
    assert model_card.start(weighted, {"lesson": 0.5}, 0) == "trained from the weights imagenet"
    told = "trained from scratch, 50% of it by what 2 teachers of the same faces say (distillation),"
    assert model_card.start(row, {"lesson": 0.5}, 2) == told
    assert cards.resampled(pd.Series(["a", "b", "a"])) == "people"
    assert cards.resampled(pd.Series(["a", "b"])).startswith("faces")


def test_a_table_of_leakage_of_another_run_is_said_to_be_so(project):
    rows = pd.DataFrame(
        [
            {"model": "m", "faces": "honest split", "target": "age", "score": "mae", "value": 5.123457},
            {"model": "m", "faces": "random split", "target": "age", "score": "mae", "value": 4.0},
        ]
    )
    assert "another run" in index_page.elsewhere(rows)[0]
    path = project / "reports/models/m/metrics.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"test": {"age_mae": 5.12}}))
    assert index_page.elsewhere(rows) == []
    path.write_text(json.dumps({"test": {"age_mae": 5.2}}))
    assert "another run" in index_page.elsewhere(rows)[0]


def test_a_row_with_a_seed_of_its_own_gets_those_of_make_seeds(project):
    p = params.load()
    names = list(p.models)[:2]
    p.models[names[0]] = p.models[names[0]].model_copy(update={"train": {"seed": 7}})
    assert seeds.settings(p, names, 9) == {"train.seed": 9, f"models.{names[0]}.train.seed": 9}


def test_what_is_committed_is_what_the_code_writes():
    """Of the tables beside them: neither a page nor the README's table was mended by hand, or left behind."""
    for about in pages.FOLDER.glob(f"*/{pages.ABOUT}"):
        out, told = about.parent, json.loads(about.read_text())
        found = pd.read_csv(out / pages.RESULTS)
        assert (out / "README.md").read_text() == pages.page(out.name, found, told, out)
        shown = pages.shown_in_readme(found, told)
        assert pages.between(pages.README.read_text(), out.name, shown) == pages.README.read_text()
        for file, size in told["cost"]["files"].items():
            assert (shipped.FOLDER / file).stat().st_size == size


def test_a_page_shows_a_table_that_came_after_its_run(tmp_path, monkeypatch):
    out = tmp_path / "published" / "utkface"
    shutil.copytree(pages.FOLDER / "utkface", out)
    shutil.copy(pages.README, tmp_path / "README.md")
    monkeypatch.setattr(pages, "FOLDER", out.parent)
    monkeypatch.setattr(pages, "README", tmp_path / "README.md")
    of_these_faces = json.loads((out / pages.ABOUT).read_text())["digests"][pages.TESTED][:8]
    pd.DataFrame({"model": ["a new one"], "split": of_these_faces}).to_csv(out / pages.PEERS, index=False)
    pages.rewrite("utkface")
    assert "| a new one |" in (out / "README.md").read_text()
    with pytest.raises(SystemExit, match="make publish RECIPE=another"):
        pages.rewrite("another")


def test_tables_of_another_recipe_or_other_faces_are_said_to_be_so(tmp_path):
    about = {"digests": {pages.TESTED: "a" * 64}}
    assert pages.stale("utkface", about, tmp_path) == {}
    pd.DataFrame({"split": ["a" * 8]}).to_csv(tmp_path / pages.PEERS, index=False)
    short = yaml.safe_load((pages.RECIPES / "utkface.levers.yaml").read_text())["short"]
    basis = ablations.basis(short, "bfloat16", recipe.expected("utkface"))
    rows = pd.DataFrame({"precision": ["bfloat16"], "basis": [basis]})
    rows.to_csv(tmp_path / pages.LEVERS, index=False)
    assert pages.stale("utkface", about, tmp_path) == {}
    rows.assign(basis="12345678").to_csv(tmp_path / pages.LEVERS, index=False)
    about["digests"][pages.TESTED] = "b" * 64
    assert list(pages.stale("utkface", about, tmp_path)) == ["levers.csv", "peers.csv"]
