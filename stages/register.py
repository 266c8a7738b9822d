"""Register the best model of each dataset: receipts + validation scores -> versions and aliases in MLflow."""

import json

from faces import params
from faces.data import provenance, records
from faces.evaluation import predictions, selection
from faces.runtime import progress, running
from faces.tracking import lineage, models, registry, runs, store

VETO = ("regressed", "beyond its limit")  # kinds of the gate's reasons


def main() -> None:
    """Choose by register.metric on validation; the choice becomes challenger, and champion where it is better."""
    p = params.load()
    chosen, metric = {}, p.register_.metric
    for dataset in dict.fromkeys(row.dataset for row in p.models.values()):
        scores = {
            name: predictions.scores(name).get("val", {}).get(metric)
            for name, row in p.models.items()
            if row.dataset == dataset
        }
        best = choose(scores, metric)
        if best is None:
            progress.say(f"{dataset}: no model has {metric} on validation, so none is registered")
            continue
        promote(dataset, best, p.models[best].variant, scores[best], metric)
        chosen[dataset] = best
    records.write_json(chosen, "mlruns/registered.json")


def choose(scores: dict[str, float | None], score: str) -> str | None:
    """Name of the best model, the first of equals; None where no model has the score. scores: None where missing."""
    known = {name: selection.signed(value, score) for name, value in scores.items() if value is not None}
    return max(known, key=known.__getitem__, default=None)


def promote(dataset: str, name: str, variant: str, value: float, score: str) -> None:
    """Register a model's run as a version and move the aliases."""
    source = provenance.read(dataset, variant)
    registered = provenance.store_name(dataset, source)
    client, experiment_id = store.open_experiment(registered)
    about = records.read_json(f"data/models/{name}/model.json")
    run = runs.find_or_create(client, experiment_id, name, about["fingerprint"])
    split = lineage.digest(f"data/splits/{dataset}.csv")[:16]
    onnx = lineage.digest(f"data/calibrated/{name}/model.onnx")
    tags = {
        "model": name,
        "split": split,
        "score": score,
        "val": repr(value),
        "git_commit": run.data.tags.get("git_commit", ""),
        "git_dirty": run.data.tags.get("git_dirty", ""),
        "fingerprint": about["fingerprint"],
        "onnx_sha256": onnx,
        "archives": json.dumps({a["name"]: a["sha256"] for a in source["archives"]}),
        "warnings": " ".join(provenance.warnings(source)),
        "params": json.dumps(about["recipe"]),
        **{f"test_{key}": str(number) for key, number in predictions.scores(name).get("test", {}).items()},
    }
    model = models.find_model(client, run, onnx)
    if model is None:
        raise SystemExit(f"{name} is not in MLflow any more: run `dvc repro -f log@{name}` first")
    with store.lock():
        version = registry.register(client, registered, run, model, tags)
        client.set_registered_model_alias(registered, "challenger", version)
        champion = registry.version_by_alias(client, registered, "champion")
        if champion is not None and str(champion.version) == version:
            verdict = "it is the champion"
        else:
            verdict = verdict_on(champion, split, value, score, about["fingerprint"]) or veto(name)
        if not verdict:
            why = reason(champion, value, score, gate_result(name)["verdict"])
            registry.promote(client, registered, version, champion, why)
            verdict = f"champion now: {why}"
    progress.say(f"{registered}, version {version}: {name}; {verdict}")


def gate_result(name: str) -> dict:
    """The gate's {verdict, reasons} on a model."""
    results = records.read_json("reports/gate/verdict.json").values()
    rows = (result["models"][name] for result in results if name in result["models"])
    return next(rows, {"verdict": "not judged", "reasons": []})


def veto(name: str) -> str:
    """Why a model must not be champion though it is the best on validation, '' where nothing is against it.

    Test faces may only prevent a promotion, never cause one.
    """
    against = [reason for reason in gate_result(name)["reasons"] if reason.split(":")[0] in VETO]
    return f"the gate vetoes it as champion: {against[0]}; see reports/gate/table.md" if against else ""


def reason(champion: object, value: float, score: str, gate: str) -> str:
    """Why a version is promoted, for the log of promotions."""
    better = f"{score} {value:.4f} on validation"
    better = f"the first, {better}" if champion is None else f"{better} against {float(champion.tags['val']):.4f}"
    return f"{better}; gate: {gate}"


def verdict_on(champion: object, split: str, value: float, score: str, fingerprint: str = "") -> str:
    """Why a version does not become champion, '' where it does: only a better one replaces a champion."""
    if champion is None or champion.tags.get("fingerprint") == fingerprint:  # the same training, calibrated anew
        return ""
    if champion.tags.get("split") != split or champion.tags.get("score") != score:
        return (
            f"the champion, version {champion.version}, was chosen on another split or score and stays: move the alias "
            "in the MLflow UI to replace it"
        )
    if selection.signed(value, score) > selection.signed(float(champion.tags["val"]), score):
        return ""
    return f"the champion stays version {champion.version} ({champion.tags['val']})"


if __name__ == "__main__":
    running.stage(main)
