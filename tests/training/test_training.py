"""Losses, batches, the loop and the search, on a few synthetic faces."""

import contextlib
import functools
import json
import pickle
import random
import subprocess
import sys

import keras
import numpy as np
import onnx
import pandas as pd
import pytest
import tensorflow as tf
from keras import ops
from sklearn.utils.class_weight import compute_sample_weight

from faces import networks, params, targets
from faces.data import labelled_faces, packs
from faces.data.sample import drawing
from faces.images import preprocessing
from faces.inference.predictor import EMBEDDING, Predictor
from faces.networks import FusedBatchNormalization
from faces.params import overrides
from faces.runtime import memory
from faces.training import (
    augmentation,
    callbacks,
    export,
    input_pipeline,
    loop,
    losses,
    reproducibility,
    search,
)
from stages import pack
from tests.conftest import ROOT, encoded

HEADS = {name: targets.TARGETS[name].units for name in ("age", "sex", "ethnicity")}
ZERO = ("rotate", "shift", "brightness", "contrast", "colour", "grayscale", "random_erasing", "mixup_alpha")
STILL = dict.fromkeys((*ZERO, "weak_final_fraction"), 0) | {"flip": False, "zoom": [1.0, 1.0]}  # no augmentation
METADATA = {"targets": list(HEADS), "pack_size": 36, "image_size": 32, "variant": "cropped"}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """48 synthetic faces: a pack and a split; one age and one sex unknown."""
    folder = tmp_path_factory.mktemp("pack")
    people = drawing.people(48, 3)
    lot = [(f"f{i:02d}", encoded(image), None) for i, image in enumerate(drawing.squares(48, 3, 60))]
    rows = pack.pack_images(lot, "cropped", 36, 92, False, 0.4)
    (folder / "pack.json").write_text(json.dumps({"shards": packs.write(rows, folder, 100)}))
    split = pd.DataFrame(
        {
            "face_id": [row["face_id"] for row in rows],
            "part": ["train"] * 32 + ["val"] * 16,
            "age": [np.nan, *(float(p.age) for p in people[1:])],
            "sex": ["", *(p.sex for p in people[1:])],
            "ethnicity": [p.ethnicity for p in people],
        }
    )
    return packs.Pack(folder), split


@pytest.fixture(scope="module")
def settings():
    p = params.load(ROOT / "params.yaml")
    return params.Settings(seed=p.seed, **p.train.model_dump() | {"image_size": 32, "batch_size": 8})


@pytest.fixture(scope="module")
def trained(dataset, settings):
    """trained(precision): the recipe, model and history of a training of four epochs; run once per precision."""
    recipe = overrides.with_values(settings, {"ema_epochs": 1.0})

    @functools.cache
    def once(precision):
        with computing_in(precision):
            model, validation = loop.fit(deep(params.load(ROOT / "params.yaml")), *parts(dataset), recipe, 36, 4)
        return recipe, model, validation

    return once


@contextlib.contextmanager
def computing_in(precision):
    keras.mixed_precision.set_global_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy("float32")


def parts(dataset, names=("age", "sex", "ethnicity")):
    return tuple(labelled_faces.select_part(dataset[1], dataset[0], part, list(names))[0] for part in ("train", "val"))


def row(p, **changes):
    """A model of one block."""
    model = p.models["utkface-cropped"]
    return model.model_copy(update={"options": {"widths": [4], "blocks": [1]}, **changes})


def deep(p):
    """A model with all parts of residual networks, also a block that halves the image."""
    return row(p, options={"widths": [4, 8], "blocks": [1, 1]})


def y_true(name, values, sigma=1.0, smoothing=0.0):
    target = targets.TARGETS[name]
    values = np.asarray(values, np.float32)
    return np.column_stack([values, losses.target_distribution(target, values, sigma, smoothing)])


def test_age_loss_by_hand():
    loss = losses.for_target(targets.TARGETS["age"], 0.1)
    p = np.exp(-0.5 * (np.arange(125) - 62.0) ** 2) / np.exp(-0.5 * (np.arange(125) - 62.0) ** 2).sum()
    flat = ops.convert_to_numpy(loss(y_true("age", [62.0]), np.zeros((1, 125), np.float32)))
    assert flat == pytest.approx([np.log(125)], rel=1e-4)  # any labels against a flat guess whose mean is right
    logits = np.zeros((1, 125), np.float32)
    logits[0, 60] = 50
    sure = ops.convert_to_numpy(loss(y_true("age", [62.0]), logits))
    assert sure == pytest.approx([50 * (1 - p[60]) + 0.1 * 2], rel=1e-4)


def test_class_loss_by_hand():
    loss = losses.for_target(targets.TARGETS["sex"], 0.1)
    computed = ops.convert_to_numpy(loss(y_true("sex", [1.0], smoothing=0.2), np.array([[0.0, np.log(3)]], np.float32)))
    assert computed == pytest.approx([-(0.1 * np.log(0.25) + 0.9 * np.log(0.75))])


def test_rare_labels_have_a_larger_weight(settings):
    kind, known = np.array([0, 0, 0, 1, 1]), np.array([1.0, 1, 1, 1, 0])
    assert losses.frequency_weights(kind, known, 0.0).tolist() == [1, 1, 1, 1, 0]
    weights = losses.frequency_weights(kind, known, 1.0)
    assert weights.tolist() == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2, 0])  # both classes weigh 2 of 4
    ages = {"age": (np.array([20.0, 24, 25], np.float32), np.ones(3, np.float32))}
    few = labelled_faces.Faces(None, np.arange(3), ages, np.zeros(3, int))
    recipe = settings.model_copy(update={"label_weight_power": {"age": 1.0}})
    _, weights = losses.heads_supervision(few, recipe)
    assert weights["age"].tolist() == pytest.approx([0.75, 0.75, 1.5])  # 20 to 24 are one kind


def test_weights_by_frequency_are_those_of_scikit_learn():
    kind = np.random.default_rng(0).geometric(0.2, 500) - 3
    balanced = compute_sample_weight("balanced", kind)
    assert losses.frequency_weights(kind, np.ones(500), 1.0) == pytest.approx(balanced, rel=1e-6)
    root = np.sqrt(balanced)
    assert losses.frequency_weights(kind, np.ones(500), 0.5) == pytest.approx(root / root.mean(), rel=1e-6)


def test_soft_targets_are_mixed_with_the_labels(dataset, settings):
    train, _ = parts(dataset, ("age", "sex"))
    train.labels["sex"][1][:] = 1
    train.labels["sex"][1][1] = 0  # unknown, with a soft target
    soft_targets = {"sex": np.full((len(train), 2), np.nan, np.float32), "age": np.zeros((len(train), 125), np.float32)}
    soft_targets["sex"][:2] = [0.25, 0.75]
    soft_targets["age"][:, 50] = 1
    train.labels["age"][1][:] = 1
    settings = settings.model_copy(update={"distillation_weight": 0.5, "label_smoothing": {}})
    labels, weights = losses.heads_supervision(train, settings, soft_targets)
    own = np.eye(2)[int(train.labels["sex"][0][0])]
    assert labels["sex"][0, 1:] == pytest.approx(0.5 * own + [0.125, 0.375])
    assert labels["sex"][1, 1:] == pytest.approx([0.25, 0.75])
    assert weights["sex"][:3].tolist() == [1, 1, 1]
    third = np.eye(2)[int(train.labels["sex"][0][2])]
    assert labels["sex"][2, 1:] == pytest.approx(third)
    assert labels["age"][:, 0] == pytest.approx(0.5 * train.labels["age"][0] + 25)
    assert labels["age"][:, 1:].sum(axis=1) == pytest.approx(np.ones(len(train)))


def test_masked_labels_change_no_weights(dataset, settings, project):
    train, _ = parts(dataset)
    train.labels["sex"] = (train.labels["sex"][0], np.zeros(len(train), np.float32))
    keras.utils.set_random_seed(0)
    model = networks.build("residual", 32, HEADS, 0.0, {"widths": [4], "blocks": [1]})
    before = model.get_layer("sex").get_weights()[0].copy()
    settings = overrides.with_values(settings, {"weight_decay": 0.0})
    loop.compiled(model, settings, 4)
    model.fit(input_pipeline.batches(train, settings, 36, 1), steps_per_epoch=4, shuffle=False, verbose=0)
    assert (model.get_layer("sex").get_weights()[0] == before).all()
    assert (model.get_layer("age").get_weights()[0] != 0).any()


def test_batches_follow_from_the_seed_alone(dataset, settings):
    train, _ = parts(dataset)
    first = [b[0].numpy() for b in input_pipeline.batches(train, settings, 36, 2)]
    again = [b[0].numpy() for b in input_pipeline.batches(train, settings, 36, 2)]
    later = [b[0].numpy() for b in input_pipeline.batches(train, settings, 36, 2, first_epoch=1)]
    assert len(first) == 8
    assert first[0].shape == (8, 32, 32, 3)
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert all((a == b).all() for a, b in zip(first[4:], later, strict=True))
    assert (first[0] != first[4]).any()


def test_augmentation_switched_off_is_the_middle(dataset, settings):
    train, _ = parts(dataset)
    images = input_pipeline.decode_batch(tf.constant(train.pack.images(train.rows[:4])), 36)
    augmented = augmentation.augment(images, tf.constant(augmentation.draw(4, 0, 0)), 32, STILL, 32).numpy()
    assert np.abs(augmented.astype(int) - images.numpy()[:, 2:34, 2:34].astype(int)).max() <= 1


def test_mixup_weighs_labels_by_share_and_leaves_out_unknown_ones():
    label = tf.constant([[10.0, 1.0, 0.0], [30.0, 0.0, 1.0], [50.0, 0.5, 0.5]])
    share = tf.constant([0.75, 0.5, 1.0])
    mixed, weight = augmentation.mixup_labels(label, tf.constant([1.0, 1.0, 0.0]), share)
    assert mixed.numpy().tolist() == [[10, 1, 0], [20, 0.5, 0.5], [0, 0, 0]]  # the first's neighbour has no label
    assert weight.numpy().tolist() == [0.75, 1, 0]


def test_mixup_mixes_the_images_and_labels_of_plain_training(dataset, settings):
    train, _ = parts(dataset)
    mixup = settings.model_copy(update={"augment": settings.augment.model_copy(update={"mixup_alpha": 0.4})})
    (plain, label, _), (mixed, mixed_label, weight) = (
        next(iter(input_pipeline.batches(train, s, 36, 1))) for s in (settings, mixup)
    )
    at = input_pipeline.epoch_order(train, settings.balance, settings.seed, 0)[: len(plain)]
    share = augmentation.mixup_shares(len(train), settings.seed, 0, 0.4)[at]
    assert 0.5 <= share.min() < 0.9 < share.max() <= 1
    plain, age = plain.numpy().astype(float), label["age"].numpy()
    image_share = share[:, None, None, None]
    assert np.abs(mixed.numpy() - (image_share * plain + (1 - image_share) * np.roll(plain, 1, axis=0))).max() <= 0.51
    expected = share[:, None] * age + (1 - share[:, None]) * np.roll(age, 1, axis=0)
    assert np.allclose(mixed_label["age"], expected, atol=1e-4)
    assert np.allclose(weight["age"], 1)


def test_the_last_epochs_augment_less(dataset, settings):
    train, _ = parts(dataset)

    def shown(**change) -> list[np.ndarray]:
        augment = settings.augment.model_copy(update={"flip": False, "random_erasing": 0.3, "grayscale": 0.3} | change)
        batches = input_pipeline.batches(train, settings.model_copy(update={"augment": augment}), 36, 2)
        return [images.numpy().astype(float) for images, _, _ in batches]

    none = {"rotate": 0, "zoom": [0.975, 0.975], "shift": 0, "brightness": 0, "contrast": 0, "colour": 0}
    still, plain, weak = shown(**none, grayscale=0, random_erasing=0), shown(), shown(weak_final_fraction=0.5)
    half = len(still) // 2
    assert all((a == b).all() for a, b in zip(plain[:half], weak[:half], strict=True))
    plain_change, weak_change = (
        np.mean([np.abs(a - b).mean() for a, b in zip(still[half:], augmented[half:], strict=True)])
        for augmented in (plain, weak)
    )
    assert 0 < weak_change < plain_change / 2
    pair = [augmentation.weakened(u := augmentation.draw(9, 0, 0), 0.25), u]
    assert (pair[0][:, augmentation.FLIP] == pair[1][:, augmentation.FLIP]).all()


def test_progressive_sizes_show_the_same_part(dataset, settings):
    train, _ = parts(dataset)
    whole = settings.model_copy(update={"augment": params.Augment.model_validate(STILL)})
    progressive = whole.model_copy(update={"progressive_sizes": [16, 24]})
    plain, small_first = ([b[0].numpy() for b in input_pipeline.batches(train, s, 36, 3)] for s in (whole, progressive))
    assert [len(images[0]) for images in small_first] == [16] * 4 + [24] * 4 + [32] * 4
    assert all((a == b).all() for a, b in zip(plain[8:], small_first[8:], strict=True))
    shown = [input_pipeline.side_shown(progressive, epoch, 2) for epoch in range(2)]
    assert shown == [24, 32]  # the last size in any case
    for small, large in zip(small_first[:4], plain[:4], strict=True):
        halved = large.reshape(8, 16, 2, 16, 2, 3).mean(axis=(2, 4))
        assert np.abs(small - halved).mean() < 2  # of 255


def test_a_network_trained_at_progressive_sizes_ends_at_one_size(dataset, settings, project):
    train, val = parts(dataset, ["sex"])
    settings = settings.model_copy(update={"progressive_sizes": [16], "monitor": "sex_accuracy"})
    model, validation = loop.fit(row(params.load(), targets=["sex"]), train, val, settings, 36, 2)
    assert model.input_shape == (None, 32, 32, 3)
    assert callbacks.probabilities(model, validation.pixels, tta_flip=False)["sex"].shape == (16, 2)
    assert len(validation.history) == 2
    fixed = row(params.load(), network="leoiania_age", options={}, targets=["age"])
    with pytest.raises(SystemExit, match="takes images of one size: leave"):
        loop.fit(fixed, train, val, settings, 36, 2)
    options = {"widths": [4], "blocks": [1, 1]}
    with pytest.raises(ValueError, match="must be of the same length"):  # not the error about progressive sizes
        loop.fit(row(params.load(), options=options), train, val, settings, 36, 2)


def test_training_sees_what_prediction_sees(dataset):
    train, _ = parts(dataset)
    by_tensorflow = input_pipeline.decode_batch(tf.constant(train.pack.images(train.rows)), 36).numpy()
    (by_pillow,) = labelled_faces.pixels(train, 36, 36, 36)
    assert np.abs(by_tensorflow.astype(int) - by_pillow.astype(int)).mean() < 0.5


@pytest.mark.parametrize("zoom", [1.0, 0.9, 1.2])
@pytest.mark.parametrize(("crop", "size", "factor"), [(36, 18, 2), (32, 24, 1), (32, 16, 2), (36, 9, 4), (32, 32, 1)])
def test_prediction_reads_pixels_as_training_does(dataset, settings, crop, size, factor, zoom):
    train, _ = parts(dataset)
    still = STILL | {"zoom": [zoom, zoom]}
    changes = {"crop": crop, "image_size": size, "zoom": zoom, "augment": params.Augment.model_validate(still)}
    settings = settings.model_copy(update=changes | {"batch_size": len(train)})
    assert preprocessing.reduction_factor(36, crop, size) == factor
    (in_training,) = (b[0].numpy() for b in input_pipeline.batches(train, settings, 36, 1))
    (in_prediction,) = labelled_faces.pixels(train, *labelled_faces.view(36, settings))
    in_prediction = in_prediction[input_pipeline.epoch_order(train, settings.balance, settings.seed, 0)]
    assert in_training.shape == in_prediction.shape == (len(train), size, size, 3)
    apart = np.abs(in_training.astype(int) - in_prediction.astype(int)).mean()
    assert apart < (1 if factor == 1 else 3)  # of 255; where the decoder shrinks, these small noisy images differ more


def test_small_photos_are_centred_on_grey():
    from tests.conftest import picture

    content = encoded(picture(size=(20, 10)))
    decoded = input_pipeline.decode_batch(tf.constant([content]), 24).numpy()[0]
    assert (decoded[:7] == 128).all()
    assert (decoded[7:17, :2] == 128).all()
    assert (decoded[7:17, 2:22] != 128).any()


@pytest.mark.parametrize("balance", ["none", "weights", "undersample"])
def test_balance(dataset, settings, balance):
    train, _ = parts(dataset)
    order = input_pipeline.epoch_order(train, balance, 1, 0)
    train.labels = {"sex": (train.labels["sex"][0], np.ones(len(train), np.float32))}
    weights = losses.heads_supervision(train, settings.model_copy(update={"balance": balance}))[1]["sex"]
    assert len(set(order)) == len(order)
    assert weights.mean() == pytest.approx(1)
    if balance == "none":
        assert len(order) == 32
        assert (weights == 1).all()
    if balance == "undersample":
        counts = np.unique(train.cell[order], return_counts=True)[1]
        assert counts.max() <= np.median(np.unique(train.cell, return_counts=True)[1])
    if balance == "weights":
        rare = np.argmin([np.sum(train.cell == c) for c in train.cell])
        assert weights[rare] == weights.max()


def test_fused_normalisation_is_batch_normalisation():
    x = np.random.default_rng(0).normal(3, 2, (6, 5, 5, 4)).astype(np.float32)
    fused, stock = FusedBatchNormalization(momentum=0.9), keras.layers.BatchNormalization(momentum=0.9)
    for layer in (fused, stock):
        layer.build(x.shape)
    assert np.allclose(fused(x, training=True), stock(x, training=True), atol=1e-4)
    assert np.allclose(fused.moving_mean, stock.moving_mean, atol=1e-5)
    # the fused kernel averages the unbiased variance, 150 / 149 of the other
    assert np.allclose(fused.moving_variance, stock.moving_variance, rtol=7e-3)
    assert np.allclose(fused(x), stock(x), atol=1e-2)


def test_an_unknown_option_is_named():
    with pytest.raises(ValueError, match="has no option 'depth'; it has: widths, blocks"):
        networks.build("residual", 32, HEADS, 0.0, {"depth": 3})


def test_two_trainings_end_in_the_same_weights_and_the_export_agrees(dataset, trained, project):
    recipe, whole, known = trained("float32")
    model, validation = loop.fit(deep(params.load()), *parts(dataset), recipe, 36, 4)
    assert validation.history == known.history
    assert all((a == b).all() for a, b in zip(model.get_weights(), whole.get_weights(), strict=True))
    path = project / "m.onnx"
    export.export_onnx(model, path, {"faces": json.dumps(METADATA)})
    expected = {k: callbacks.softmax(v) for k, v in model.predict(validation.pixels, verbose=0).items()}
    assert not onnx.load(path).graph.doc_string  # it would count what the process did before
    predicted = Predictor(path).probabilities(validation.pixels)
    for name in HEADS:
        assert np.abs(predicted[name] - expected[name]).max() < 1e-4


def test_a_model_that_was_trained_in_bfloat16_is_exported(trained, project):
    _, model, validation = trained("bfloat16")
    with computing_in("bfloat16"):
        expected = {k: callbacks.softmax(v) for k, v in callbacks.logits(model, validation.pixels).items()}
        export.export_onnx(model, project / "m.onnx", {"faces": json.dumps(METADATA)})
    predictor = Predictor(project / "m.onnx")
    predicted = predictor.probabilities(validation.pixels)
    assert max(np.abs(predicted[name] - expected[name]).max() for name in HEADS) < 0.05
    exact = callbacks.probabilities(export.in_float32(model), validation.pixels, tta_flip=False)
    assert max(np.abs(predicted[name] - exact[name]).max() for name in HEADS) < 1e-4
    with pytest.raises(SystemExit, match=r"differs from Keras by 0\.5 in a probability"):
        export.check_parity({"sex": np.array([[0.5, 0.5]])}, {"sex": np.array([[1.0, 0.0]])})
    assert predictor.has_embedding
    assert predictor.outputs(validation.pixels, [EMBEDDING])[EMBEDDING].dtype == np.float32


def test_training_without_faces_is_refused(dataset, settings, project):
    train, val = parts(dataset)
    none = labelled_faces.Faces(train.pack, train.rows[:0], train.labels)
    with pytest.raises(SystemExit, match="0 training and 16 validation faces"):
        loop.fit(row(params.load()), none, val, settings, 36, 1)


class Killed(Exception):
    """Stands for a process that ends in the middle of training."""


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_training_that_was_stopped_ends_with_the_same_weights(dataset, trained, project, tmp_path, precision):
    recipe, whole, known = trained(precision)

    def stop(epoch, numbers):
        if epoch == 2:
            raise Killed

    fit = functools.partial(loop.fit, deep(params.load()), *parts(dataset), recipe, 36, 4, state_folder=tmp_path)
    seen = []
    with computing_in(precision):
        with pytest.raises(Killed):
            fit(stop)
        again, validation = fit(lambda epoch, _: seen.append(epoch))
    assert seen == [2, 3]
    assert all((a == b).all() for a, b in zip(whole.get_weights(), again.get_weights(), strict=True))
    assert (validation.history, validation.best_epoch) == (known.history, known.best_epoch)


def test_patience_and_the_best_epoch_survive_a_crash(dataset, settings, project, tmp_path):
    changes = {"monitor": "age_percentile_gap", "patience": 1, "learning_rate": 1e-9, "ema_epochs": 0.0}
    recipe, seen = settings.model_copy(update=changes), []
    fit = functools.partial(loop.fit, row(params.load()), *parts(dataset), recipe, 36, 12, state_folder=tmp_path)
    _, known = fit()
    gaps = [entry["val_age_percentile_gap"] for entry in known.history]
    assert known.best_epoch == int(np.argmin(gaps))  # small gaps are good
    assert len(gaps) == known.best_epoch + 2 < 12
    _, again = fit(lambda epoch, _: seen.append(epoch))
    assert seen == []
    assert (again.history, again.best_epoch) == (known.history, known.best_epoch)


def test_a_search_that_was_stopped_trains_no_epoch_twice(dataset, settings, project, tmp_path, monkeypatch):
    train, val = parts(dataset, ["sex"])
    p = params.load()
    small = row(p, options={"widths": [2], "blocks": [0]}, targets=["sex"])
    budget = p.budgets["sample"].model_copy(update={"trials": 2, "trial_epochs": 2})
    trained, killed = [], []
    fit = loop.fit

    def watched(*args, **options):
        random.random()  # what other code draws changes nothing
        *rest, on_epoch = args

        def count_epochs(epoch, numbers):
            on_epoch(epoch, numbers)
            trained.append(epoch)
            if len(trained) == 4 and not killed:  # the second epoch of the second training, before it is saved
                killed.append(epoch)
                raise Killed

        return fit(*rest, count_epochs, **options)

    monkeypatch.setattr(reproducibility, "prepare", lambda *_: None)  # TensorFlow has computed in this process already
    whole = search.run("m", settings, p.tune, small, train, val, 36, budget, tmp_path / "whole")
    monkeypatch.setattr(loop, "fit", watched)
    with pytest.raises(Killed):
        search.run("m", settings, p.tune, small, train, val, 36, budget, tmp_path / "stopped")
    again = search.run("m", settings, p.tune, small, train, val, 36, budget, tmp_path / "stopped")
    assert again == whole
    for trial in whole["trials"]:
        assert len(trial["face_scores"]) == len(val)
        assert np.mean(trial["face_scores"]) == pytest.approx(trial["score"], abs=1e-5)
    assert trained == [0, 1] * 2 + [1] + [0, 1]
    assert [path.name for path in (tmp_path / "stopped").glob("[0-9]*")] == []


def test_precision_follows_the_hardware(monkeypatch, tmp_path):
    policy, kept = keras.mixed_precision.dtype_policy(), []
    monkeypatch.setattr(memory, "keep", lambda: kept.append(True))  # it cannot be taken back
    cpu = tmp_path / "cpuinfo"
    monkeypatch.setattr(reproducibility, "CPU", cpu)
    monkeypatch.setattr(tf.config.threading, "set_intra_op_parallelism_threads", lambda _: None)  # it is too late
    monkeypatch.setattr(tf.config.threading, "set_inter_op_parallelism_threads", lambda _: None)
    monkeypatch.setattr(tf.config.experimental, "enable_op_determinism", lambda: None)

    def prepared(precision):
        reproducibility.prepare(2, 0, precision)
        return keras.mixed_precision.dtype_policy().name

    try:
        cpu.write_text("flags : sse avx512_bf16 amx_tile\n")
        assert prepared("auto") == "mixed_bfloat16"
        assert kept == [True]
        assert prepared("float32") == "float32"
        cpu.write_text("flags : sse avx2\n")
        assert prepared("auto") == "float32"
        with pytest.raises(SystemExit, match="neither a CPU with AVX512-BF16 or AMX nor a GPU"):
            reproducibility.prepare(2, 0, "bfloat16")
        cpu.unlink()
        assert prepared("auto") == "float32"
    finally:
        keras.mixed_precision.set_global_policy(policy)


def test_tta_flip_is_the_mean_of_a_face_and_its_mirror_image(dataset, tmp_path):
    train, _ = parts(dataset)
    (images,) = labelled_faces.pixels(train, 36, 32, 32)
    keras.utils.set_random_seed(0)
    model = networks.build("residual", 32, HEADS, 0.0, {"widths": [4], "blocks": [1]})
    one = [callbacks.probabilities(model, view, tta_flip=False) for view in (images, images[:, :, ::-1])]
    both = callbacks.probabilities(model, images, tta_flip=True)
    assert np.allclose(both["age"], (one[0]["age"] + one[1]["age"]) / 2)
    assert np.abs(one[0]["age"] - one[1]["age"]).max() > 1e-4
    export.export_onnx(model, tmp_path / "model.onnx", {"faces": json.dumps(METADATA)}, tta_flip=True)
    exported = Predictor(tmp_path / "model.onnx").outputs(images, [*HEADS, EMBEDDING])
    for name in HEADS:
        assert np.abs(exported[name] - both[name]).max() < 1e-5
    assert exported[EMBEDDING].shape == (len(images), 4)


@pytest.mark.parametrize(("scores", "kept"), [((0.5, 0.508, 0.3), False), ((0.5, 0.4, 0.511), True)])
def test_a_trial_is_kept_from_the_minimum_improvement_on(project, settings, tmp_path, monkeypatch, scores, kept):
    p = params.load()
    budget = p.budgets["sample"].model_copy(update={"trials": 2})
    left = iter(scores)
    monkeypatch.setattr(loop, "train_one", lambda *_, **__: fitted([next(left)]))
    result = search.run("m", settings, p.tune, row(p), None, None, 36, budget, tmp_path / "search")
    assert p.tune.min_improvement == 0.01
    assert result["best"] == max(scores)
    assert result["values"] == (result["trials"][2]["values"] if kept else {})


def fitted(scores):
    return loop.Fitted([], [{"val_score": score} for score in scores], 0, False, {}, np.zeros(1))


@pytest.mark.parametrize(("parallel_trials", "sizes"), [(1, [1] * 8), (3, [3, 3, 3, 2])])
@pytest.mark.parametrize("method", ["bayesian", "random"])
def test_the_trials_of_a_search_follow_from_its_seed_and_their_scores_alone(
    project, tmp_path, method, parallel_trials, sizes
):
    """With a space of two numbers, KerasTuner draws six points at random before it uses scores."""

    def tried(folder, seed, trials, score=lambda values: values["dropout"]):
        options = params.load().tune.model_copy(
            update={"method": method, "seed": seed, "parallel_trials": parallel_trials}
        )
        rounds, seen = search.proposals(options, trials, tmp_path / folder), []
        proposed = next(rounds)
        while proposed:
            seen.append(proposed)
            try:
                proposed = rounds.send([score(values) if values else 0.5 for values in proposed])
            except StopIteration:
                break
        return seen

    trials = sum(sizes) - 1
    one = tried("one", 0, trials)
    assert [len(proposed) for proposed in one] == sizes
    assert one[0][0] == {}
    assert one == tried("two", 0, trials)
    assert one[:2] != tried("three", 1, 2 * parallel_trials)[:2]
    learns = one != tried("four", 0, trials, lambda values: -values["dropout"])
    assert learns == (method == "bayesian")


def test_trials_that_end_in_any_order_give_the_same_search(project, settings, tmp_path, monkeypatch):
    p = params.load()
    p = p.model_copy(update={"tune": p.tune.model_copy(update={"parallel_trials": 3, "median_stopping_after": 2})})
    budget = p.budgets["sample"].model_copy(update={"trials": 5, "trial_epochs": 4})
    required = []

    def run_search(folder, order):
        def train_all(jobs, *_):
            required.append([job.required_scores for job in jobs])
            for number in order(range(len(jobs))):
                score = 0.5 - jobs[number].settings.dropout
                yield number, fitted([score, score + 0.01, score + 0.02, score + 0.03])

        monkeypatch.setattr(loop, "train_all", train_all)
        return search.run("m", settings, p.tune, row(p), None, None, 36, budget, tmp_path / folder)

    whole = run_search("one", list)
    assert run_search("two", lambda numbers: list(numbers)[::-1]) == whole
    assert [trial["trial"] for trial in whole["trials"]] == list(range(6))
    assert [len(scores) for scores in required[:2]] == [3, 3]
    assert required[0] == [(), (), ()]
    assert len(set(required[1])) == 1
    middle = sorted(trial["history"][0]["val_score"] for trial in whole["trials"][:3])[1]
    assert required[1][0] == (-float("inf"), *(pytest.approx(middle + more) for more in (0.005, 0.01, 0.015)))


def test_a_training_stops_where_its_best_score_is_below_the_required_one(dataset, trained, project):
    recipe, _, whole = trained("float32")
    scores = [entry["val_score"] for entry in whole.history]
    assert whole.best_epoch == int(np.argmax(scores))  # high scores are good
    best = max(scores[:2])
    _, validation = loop.fit(
        deep(params.load()), *parts(dataset), recipe, 36, 4, required_scores=(-1, best, best + 1, -1)
    )
    assert validation.history == whole.history[:3]
    assert validation.done
    assert not validation.cut_short


SHARING = """
import pickle, shutil, sys
from pathlib import Path
import faces
import numpy as np
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from faces.training import loop, reproducibility
row, train, val, settings = pickle.load(open(sys.argv[1], "rb"))
reproducibility.prepare(1, settings.seed, "float32")
one = loop.fit(row, train, val, settings, 36, 4)[1].history
shared = settings.model_copy(update={"replicas": 2})
folder = Path(sys.argv[1]).with_name("whole")
left = folder.with_name("left")
def keep(epoch, numbers):
    if epoch == 2:
        shutil.copytree(folder, left)  # what a kill in this epoch would leave
folder.mkdir()
model, validation = loop.fit(row, train, val, shared, 36, 4, keep, state_folder=folder)
assert abs(one[0]["loss"] / validation.history[0]["loss"] - 1) < 0.1, (one, validation.history)
assert one != validation.history
trained = []
again, _ = loop.fit(row, train, val, shared, 36, 4, lambda epoch, _: trained.append(epoch), state_folder=left)
assert trained == [2, 3]
assert all(map(np.array_equal, again.get_weights(), model.get_weights()))
for update, words in (({"replicas": 3}, "3 devices are asked for"), ({"batch_size": 7}, "7 faces cannot be shared")):
    try:
        loop.fit(row, train, val, shared.model_copy(update=update), 36, 4)
    except SystemExit as error:
        assert words in str(error)
    else:
        raise AssertionError(words)
"""


def test_a_batch_is_shared_by_several_devices(dataset, settings, tmp_path):
    given = tmp_path / "given.pickle"
    settings = settings.model_copy(update={"monitor": "age_mae"})
    small = row(params.load(), options={"widths": [2], "blocks": [0]}, targets=["age"])
    given.write_bytes(pickle.dumps((small, *parts(dataset, ["age"]), settings)))
    done = subprocess.run([sys.executable, "-c", SHARING, given], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
