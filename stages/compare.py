"""Compare all models, and some on the same faces: reports/models/, data/evaluated/ -> reports/comparison/."""

from pathlib import Path

import pandas as pd

from faces import params, scores
from faces.data import records
from faces.evaluation import dummy_baseline, predictions, score_tables
from faces.reporting import markdown
from faces.runtime import progress, running

# What is compared: variants with each other, and models that start from another one with those that do not.
PRETRAINED = "pretrained"
AGAINST = (("full", "cropped"), ("detected", "cropped"), ("full", "detected"), (PRETRAINED, "scratch"))


def main() -> None:
    """Read the tables of every model of params.yaml; write models.csv, and a table for each of AGAINST."""
    p = params.load()
    out = Path("reports/comparison")
    out.mkdir(parents=True, exist_ok=True)
    tables = {name: records.read(f"reports/models/{name}/scores.csv") for name in p.models}
    summaries = {name: records.read_json(f"reports/models/{name}/summary.json") for name in p.models}
    table = models_table(tables, {name: dummy_baseline.useless(row) for name, row in summaries.items()})
    records.write(table, out / "models.csv")
    for kinds in AGAINST:
        tables = [paired(p, *kinds, *names) for names in pairs(p.models, *kinds)]
        tables = [table for table in tables if len(table)]
        if tables:
            records.write(scores.table(pd.concat(tables)), out / f"{'_against_'.join(kinds)}.csv")
    count = sum(len(pairs(p.models, *kinds)) for kinds in AGAINST)
    progress.say(f"{len(p.models)} models compared, {count} pair{'s' * (count != 1)} of them on the same faces")


def models_table(tables: dict[str, pd.DataFrame], useless: dict[str, list[str]]) -> pd.DataFrame:
    """One row a model: test faces, then each score as `value [low, high]`; and a row for each dummy baseline.

    tables: rows of scores.csv; useless: the targets on which a model is no better than the dummy baseline.
    """
    rows, dummies = [], {}
    for name, table in tables.items():
        test = table[(table["part"] == "test") & (table["group"] == "")].set_index(["target", "score"])
        row = {"test faces": int(test["n"].max())}
        dummy = dict(row)
        for title, target, score in scores.headlines():
            known, digits = (target, score) in test.index, scores.digits(score)
            row[title] = markdown.interval(test.loc[(target, score)], digits) if known else ""
            dummy[title] = f"{test.loc[(target, score), dummy_baseline.KEY]:.{digits}f}" if known else ""
        rows.append({"model": name, **row, dummy_baseline.NO_BETTER: ", ".join(useless[name])})
        dummies.setdefault(tuple(dummy.items()), []).append(name)
    rows += [{"model": f"dummy baseline of {', '.join(names)}", **dict(row)} for row, names in dummies.items()]
    table = pd.DataFrame(rows).fillna("")
    return table.loc[:, (table != "").any()]


def pairs(models: dict[str, params.Model], first: str, second: str) -> list[tuple[str, str]]:
    """Names of two models that differ in one thing alone: their variant, or whether they start from another model."""
    result = []
    for name, row in models.items():
        if first == PRETRAINED:
            train = {key: value for key, value in row.train.items() if key not in params.OF_A_START}
            is_first, change = row.start_from != params.NO_START, {"start_from": params.NO_START, "train": train}
        else:
            is_first, change = row.variant == first, {"variant": second}
        wanted = row.model_copy(update=change)
        result += [(name, other) for other, other_row in models.items() if is_first and other_row == wanted]
    return result


def paired(p: params.Params, first: str, second: str, name: str, other: str) -> pd.DataFrame:
    """Rows of FIRST_against_SECOND.csv for two models, on the test faces that both have; none for few."""
    one, two = (predictions.read(model).set_index("face_id") for model in (name, other))
    common = one.index.intersection(two.index)
    if len(common) < p.evaluate.min_group_size:
        return pd.DataFrame()
    rows = score_tables.paired_scores(one.loc[common], two.loc[common], "comparison", p.evaluate)
    rows = rows.rename(columns={"first": f"{first}_value", "second": f"{second}_value"})
    rows["score"] = rows["target"] + " " + rows["score"].map(lambda score: scores.find(score).title)
    rows = rows.assign(dataset=p.models[name].dataset, **{first: name, second: other})
    return rows[["dataset", first, second, *rows.columns[1:8]]]


if __name__ == "__main__":
    running.stage(main)
