"""Train one model: packs, split, soft targets, data/tuned/MODEL.json -> data/models/MODEL/ (weights, ONNX, history)."""

from pathlib import Path

from faces import params
from faces.data import labelled_faces, records
from faces.params import overrides
from faces.runtime import progress, running
from faces.tracking import live
from faces.training import fingerprint, soft_targets

CHECKED = 64  # images on which the export is checked


def main(name: str) -> None:
    """Train with the tuned values, keep the best epoch, export, and check the export against Keras."""
    p = params.load()
    row = p.models[name]
    pack, split = labelled_faces.open_pack(row)
    settings, budget, row = overrides.for_row(p, row)
    tuned = Path("data/tuned") / f"{name}.json"
    settings = overrides.with_values(settings, records.read_json(tuned)["values"])
    from faces.training import (
        export,
        loop,
        reproducibility,
        start,
    )  # here: TensorFlow loads after errors in params and data

    precision = reproducibility.resolved(budget.precision)
    budget = budget.model_copy(update={"precision": precision})
    (train, ids), (val, _) = (labelled_faces.select_part(split, pack, part, row.targets) for part in ("train", "val"))
    labelled_faces.check_labels({"train": train, "val": val})
    folder = Path("data/soft_targets") / row.teachers
    soft = soft_targets.read(folder, ids, row.targets)
    recipe = overrides.recipe(settings, budget, row)
    reproducibility.prepare(settings.threads, settings.seed, precision)  # before `start` loads a model
    given = start.read(row, settings, pack.manifest)
    key = fingerprint.key("train", name, [row], recipe, [tuned, folder / soft_targets.FILE, *start.files(row)])
    with (
        running.unfinished("train", name, key) as state,
        live.training_run(row.dataset, row.variant, name, key, recipe) as log,
    ):
        progress.say(f"{name}: training on {len(train)} faces, validating on {len(val)} (val)")
        say = progress.Epochs(name, budget.epochs)
        side = pack.manifest["side"]

        def on_epoch(_: int, epoch: int, numbers: dict[str, float]) -> None:
            say(epoch, numbers)
            log(epoch, numbers)

        job = loop.Job(settings, budget.epochs, budget.train_minutes, state)
        ((_, fitted),) = loop.train_all([job], on_epoch, row, train, val, side, precision, soft, given)
        model = loop.trained_model(row, settings, precision, fitted)
        metadata = {
            "name": name,
            "fingerprint": key,
            "dataset": row.dataset,
            "variant": row.variant,
            "kind": pack.manifest["kind"],
            "split": start.digest(labelled_faces.split_file(row.dataset)),
            "framing": pack.manifest.get("framing"),
            "network": row.network,
            "targets": row.targets,
            "parameters": int(model.count_params()),
            "pack_size": side,
            "crop": settings.crop or settings.image_size,
            "zoom": settings.zoom,
            "image_size": settings.image_size,
            "best_epoch": fitted.best_epoch,
            "cut_short": fitted.cut_short,
            "dummy_baseline": fitted.baselines,
            "start": given.about if given else None,
            "recipe": recipe,
        }
        images = next(labelled_faces.pixels(val, *labelled_faces.view(side, settings), step=CHECKED))
        export.write(model, fitted.history, metadata, Path("data/models") / name, images, tta_flip=settings.tta_flip)


if __name__ == "__main__":
    running.stage(main)
