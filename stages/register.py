"""Register the best model of each dataset: receipts + validation scores -> versions and aliases in MLflow."""

from mlflow.entities.model_registry import ModelVersion

from faces import params
from faces.data import records
from faces.evaluation import predictions, selection
from faces.runtime import progress, running
from faces.tracking import candidates, registry, store

VETO = ("regressed", "beyond its limit")  # kinds of the gate's reasons


def main() -> None:
    """Choose by register.metric on validation; the choice becomes challenger, and champion where it is better."""
    p = params.load()
    chosen, metric = {}, p.register_.metric
    for dataset in dict.fromkeys(row.dataset for row in p.models.values()):
        if max(p.split.folds, len(p.split.from_[dataset].folds) if dataset in p.split.from_ else 1) > 1:
            progress.say(f"{dataset}: models of a fold are no candidates, so none is registered")
            continue
        scores = {
            name: predictions.scores(name).get("val", {}).get(metric)
            for name, row in p.models.items()
            if row.dataset == dataset
        }
        best = choose(scores, metric)
        if best is None:
            progress.say(f"{dataset}: no model has {metric} on validation, so none is registered")
            continue
        promote(best, p.models[best], metric)
        chosen[dataset] = best
    records.write_json(chosen, "mlruns/registered.json")


def choose(scores: dict[str, float | None], score: str) -> str | None:
    """Name of the best model, the first of equals; None where no model has the score. scores: None where missing."""
    known = {name: selection.signed(value, score) for name, value in scores.items() if value is not None}
    return max(known, key=known.__getitem__, default=None)


def promote(name: str, row: params.Model, score: str) -> None:
    """Register a model's run as a version and move the aliases."""
    client, version = candidates.register(name, row, score)
    registered, number = version.name, str(version.version)
    with store.lock():
        client.set_registered_model_alias(registered, "challenger", number)
        champion = registry.version_by_alias(client, registered, "champion")
        if champion is not None and str(champion.version) == number:
            verdict = "it is the champion"
        else:
            verdict = candidates.objection(version) or verdict_on(champion, version, name) or veto(name)
        if not verdict:
            why = reason(champion, version, gate_result(name)["verdict"])
            registry.promote(client, registered, number, champion, why)
            verdict = f"champion now: {why}"
    progress.say(f"{registered}, version {number}: {name}; {verdict}")


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


def reason(champion: ModelVersion | None, version: ModelVersion, gate: str) -> str:
    """Why a version is promoted, for the log of promotions."""
    better = candidates.chosen_by(version)
    better = f"the first, {better}" if champion is None else f"{better} against {float(champion.tags['val']):.4f}"
    return f"{better}; gate: {gate}"


def verdict_on(champion: ModelVersion | None, version: ModelVersion, name: str) -> str:
    """Why a version does not become champion, '' where it does: only a better one replaces a champion."""
    if champion is None:
        return ""
    old, new = champion.tags, version.tags
    if any(old.get(key) != new[key] for key in ("split", "score")):
        return (
            f"the champion, version {champion.version}, was chosen on another split or score and stays: "
            f'`python -m commands.promote {name} "WHY"` replaces it'
        )
    now, before = (selection.signed(float(tags["val"]), new["score"]) for tags in (new, old))
    calibrated_anew = old.get("fingerprint") == new["fingerprint"] and now == before
    if now > before or calibrated_anew:
        return ""
    return f"the champion stays version {champion.version} ({old['val']})"


if __name__ == "__main__":
    running.stage(main)
