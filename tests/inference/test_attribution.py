"""Maps of attribution equal those computed by hand, and those of a model show where it looks."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import skimage.data
import tensorflow as tf
from keras import layers
from PIL import Image

from faces import networks
from faces.images import detection
from faces.inference import attribution, photos
from faces.inference.attribution import BASELINE, METHODS, Explainer
from faces.inference.predictor import SHIPPED, ModelError, Predictor
from faces.targets import TARGETS
from faces.training import callbacks, export
from tests.conftest import ROOT

HEADS = {"age": 125, "sex": 2, "ethnicity": 5}
SIDE = 16
RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
WEIGHTS = RNG.normal(0, 0.01, (SIDE, SIDE, 3))


def linear_outputs(images):
    return (images * WEIGHTS).sum(axis=(1, 2, 3)) + 3


def linear_gradients(images):
    return np.broadcast_to(WEIGHTS, images.shape)


def by_hand(gradients, image):
    """Maps of a linear function with these gradients (s, s, 3), for all methods that need no convolution."""
    image = image.astype(float)
    change, hidden = gradients * (image - BASELINE), gradients * (image - image.mean(axis=(0, 1)))
    return {
        "gradient": np.abs(gradients).max(axis=-1),
        "gradient_x_image": change.sum(axis=-1),
        "smoothgrad": np.abs(gradients).max(axis=-1),
        "integrated_gradients": change.sum(axis=-1),
        "occlusion": occluded(hidden.sum(axis=-1)),
    }


def occluded(change):
    """Mean change (s, s) over the squares of 3 x 3, one pixel apart, that cover a place."""
    sums = np.lib.stride_tricks.sliding_window_view(change, (3, 3)).sum(axis=(2, 3))
    mean = np.zeros(change.shape)
    for row, column in np.ndindex(change.shape):
        mean[row, column] = sums[max(0, row - 2) : row + 1, max(0, column - 2) : column + 1].mean()
    return mean


def unregistered_loss():
    """A loss that is not registered with Keras."""

    def loss(y_true, y_pred):
        return keras.ops.mean(y_pred - y_true, axis=-1)

    return loss


def saved(tmp_path, model, tta_flip=False):
    """The file of a network as it is served."""
    export.served(model, tta_flip=tta_flip).save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


def normalised_linear():
    """A network whose logits are linear in the pixels, and its gradients in inference mode."""
    image = keras.Input((SIDE, SIDE, 3), dtype="uint8", name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1)(image)
    norm, dense = layers.BatchNormalization(name="norm"), layers.Dense(2, name="sex")
    model = keras.Model(image, {"sex": dense(layers.Flatten()(layers.Dropout(0.5)(norm(x))))})
    variance = np.array([0.2, 3.0, 40.0])
    norm.set_weights([np.array([1.0, 2.0, -3.0]), np.zeros(3), np.array([0.5, -0.5, 0.1]), variance])
    weights = RNG.normal(0, 0.1, (SIDE * SIDE * 3, 2))
    dense.set_weights([weights, np.array([0.3, 0.0])])
    odds = (weights[:, 1] - weights[:, 0]).reshape(SIDE, SIDE, 3)
    return model, odds * np.array([1.0, 2.0, -3.0]) / np.sqrt(variance + norm.epsilon) / 127.5


def one_corner():
    """A network that predicts female from bright pixels of the upper left quarter alone."""
    image = keras.Input((SIDE, SIDE, 3), dtype="uint8", name="image")
    x = layers.Rescaling(1 / 255)(image)
    x = layers.Conv2D(1, 1, activation="relu", kernel_initializer="ones")(x)
    x = layers.ZeroPadding2D(((0, 8), (0, 8)))(layers.Cropping2D(((0, 8), (0, 8)))(x))
    dense = layers.Dense(2, name="sex")
    model = keras.Model(image, {"sex": dense(layers.GlobalAveragePooling2D()(x))})
    dense.set_weights([np.array([[-1.0, 1.0]]), np.zeros(2)])
    return model


@pytest.fixture
def uncompiled():
    """What runs once is not worth compiling."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def shipped():
    return Explainer(ROOT / attribution.SHIPPED)


@pytest.fixture(scope="module")
def face():
    """The shipped model's input for the astronaut's face."""
    predictor, photo = Predictor(ROOT / SHIPPED, threads=1), Image.fromarray(skimage.data.astronaut())
    _, inputs = photos.faces(photo, predictor, detection.FaceDetector(threads=1))
    return inputs[0]


def test_maps_of_a_linear_function_are_as_by_hand():
    image, expected = IMAGE.astype(np.float32), by_hand(WEIGHTS, IMAGE)
    maps = {
        "gradient": attribution.saliency(WEIGHTS),
        "gradient_x_image": attribution.gradient_x_image(linear_gradients, image),
        "smoothgrad": attribution.smoothgrad(linear_gradients, image, samples=3),
        "integrated_gradients": attribution.integrated_gradients(linear_gradients, image, steps=5),
        "occlusion": attribution.occlusion(linear_outputs, image, 3 / SIDE, 1 / SIDE),
    }
    for name, map_ in maps.items():
        np.testing.assert_allclose(map_, expected[name], atol=1e-4, err_msg=name)


def test_integrated_gradients_sum_to_the_difference_of_a_quadratic_function():
    image = IMAGE.astype(np.float32)
    map_ = attribution.integrated_gradients(lambda images: 2 * images, image, baseline=50.0, steps=64)
    np.testing.assert_allclose(map_, (image**2 - 50.0**2).sum(axis=-1), rtol=1e-3, atol=20)


def test_smoothgrad_draws_the_same_noise_each_time():
    seen = []

    def gradients(images):
        seen.append(images)
        return images

    maps = [attribution.smoothgrad(gradients, np.full((9, 9, 3), 100.0), samples=200, stdev=7.0) for _ in range(2)]
    assert np.std(seen[0]) == pytest.approx(7, rel=0.05)
    np.testing.assert_allclose(maps[0], 100, atol=3)  # of the mean of 200 samples, not of a single one
    assert np.array_equal(*maps)


def test_grad_cam_weights_channels_by_their_mean_gradient():
    features = np.array([[[1.0, 5.0], [2.0, 0.0]], [[0.0, 1.0], [4.0, 0.0]]], np.float32)
    gradients = np.zeros((2, 2, 2), np.float32)
    gradients[0, 0] = 8.0, -4.0  # 2 and -1 in the mean
    map_ = attribution.grad_cam([features, features], [gradients, gradients], 2)
    np.testing.assert_allclose(map_, 2 * np.array([[0, 4], [0, 8]]))


def test_maps_of_a_linear_network_are_as_by_hand_in_inference_mode(tmp_path):
    model, gradients = normalised_linear()
    explainer = Explainer(saved(tmp_path, model))
    for label, sign in (("female", 1), ("male", -1)):
        for method, expected in by_hand(sign * gradients, IMAGE).items():
            map_ = explainer.explain(IMAGE, "sex", method, label)
            np.testing.assert_allclose(map_, expected, rtol=1e-3, atol=1e-4, err_msg=f"{label} {method}")
    with pytest.raises(ValueError, match="has no convolutions"):
        explainer.explain(IMAGE, "sex", "grad_cam")


def test_the_log_odds_have_a_gradient_where_the_probability_is_1(tmp_path):
    model, gradients = normalised_linear()
    model.get_layer("sex").bias.assign([0.0, 40.0])
    explainer = Explainer(saved(tmp_path, model))
    assert explainer.model(IMAGE[None].astype(np.float32), training=False)["sex"][0, 1] == 1
    logits = model(IMAGE[None], training=False)["sex"].numpy()[0]
    assert explainer.outputs(IMAGE[None], "sex")[0] == pytest.approx(logits[1] - logits[0], rel=1e-5)
    np.testing.assert_allclose(
        explainer.explain(IMAGE, "sex", "gradient"), np.abs(gradients).max(axis=-1), rtol=1e-3, atol=1e-6
    )


def test_an_age_is_explained_in_years():
    p = np.zeros((2, 125), np.float32)
    p[0, [20, 30]], p[1, 77] = (0.25, 0.75), 1
    assert attribution.explained(p, TARGETS["age"]).numpy().ravel().tolist() == pytest.approx([27.5, 77])


@pytest.mark.parametrize("method", ["grad_cam", "occlusion", "gradient", "integrated_gradients"])
def test_maps_show_that_a_model_uses_one_corner_alone(method, tmp_path):
    bright = np.full((SIDE, SIDE, 3), 200, np.uint8)
    bright[:3] = bright[:, -3:] = 20  # so that squares in the mean colour change something
    map_ = Explainer(saved(tmp_path, one_corner())).explain(bright, "sex", method, "female")
    inside = np.abs(map_[:8, :8]).sum()
    assert inside > 0.7 * np.abs(map_).sum()
    assert np.abs(map_[12:, 12:]).max() == 0


def test_the_mirror_image_s_map_is_turned_back(tmp_path):
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    image[:6, 10:] = 255  # upper right, which only the mirror image has in the corner that is used
    map_ = Explainer(saved(tmp_path, one_corner(), tta_flip=True)).explain(image, "sex", "grad_cam", "female")
    assert map_[:8, 8:].sum() > 0.99 * map_.sum() > 0


@pytest.mark.parametrize(
    ("name", "options", "side", "tta_flip"),
    [
        ("residual", {"widths": [8, 16], "blocks": [1, 1], "squeeze": 4}, 32, True),
        ("umd_fire", {}, 48, False),
        ("joshi", {"age": "years"}, 64, True),
        ("imagenet", {"architecture": "MobileNetV3Small"}, 64, True),  # a model in a model in a model
    ],
)
def test_every_kind_of_network_predicts_as_its_file_and_is_explained(
    name, options, side, tta_flip, tmp_path, uncompiled
):
    keras.utils.set_random_seed(0)
    path = saved(tmp_path, networks.build(name, side, HEADS, 0.3, options), tta_flip)
    images = np.random.default_rng(0).integers(0, 256, (3, side, side, 3), np.uint8)
    expected, explainer = keras.models.load_model(path)(images, training=False), Explainer(path)
    predicted = explainer.model(images.astype(np.float32), training=False)
    assert [target.name for target in explainer.targets] == list(HEADS)
    for target in HEADS:
        assert np.abs(predicted[target] - expected[target]).max() < 1e-5
    assert explainer.explain(images[0], "ethnicity", "grad_cam").shape == (side, side)
    assert explainer.explain(images[0], "ethnicity", "gradient").max() > 0


def test_a_folder_that_training_wrote_is_a_model(tmp_path):
    keras.utils.set_random_seed(0)
    model = networks.build("residual", 32, HEADS, 0.0, {"widths": [8], "blocks": [1]})
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    model.compile(loss=dict.fromkeys(HEADS, unregistered_loss()))  # as training leaves it
    export.write(model, [{"epoch": 0}], {"recipe": {"train": {"tta_flip": True}}}, tmp_path, images, tta_flip=True)
    explainer = Explainer(tmp_path)
    predicted = explainer.model(images.astype(np.float32), training=False)
    for target, p in callbacks.probabilities(model, images, tta_flip=True).items():
        assert np.abs(predicted[target] - p).max() < 1e-5


@pytest.mark.parametrize(
    ("target", "methods"),
    [
        ("age", ["gradient", "gradient_x_image", "grad_cam", "occlusion"]),
        ("sex", ["gradient", "gradient_x_image", "grad_cam", "integrated_gradients"]),
        ("ethnicity", ["gradient", "gradient_x_image", "grad_cam", "smoothgrad"]),
    ],
)
def test_the_shipped_model_is_explained(target, methods, shipped, face):
    maps = {method: shipped.explain(face, target, method) for method in methods}
    for method, map_ in maps.items():
        assert (map_.shape, map_.dtype) == (face.shape[:2], np.float32)
        assert np.isfinite(map_).all()
        assert map_.max() > 0
        assert (map_.min() < 0) == METHODS[method].signed, method


def test_the_shipped_model_predicts_on_floats_as_its_onnx_file(shipped, face):
    predicted = Predictor(ROOT / SHIPPED, threads=1).raw(face[None])
    for target, p in shipped.model(face[None].astype(np.float32), training=False).items():
        if target in HEADS:
            assert np.abs(p - predicted[target]).max() < 0.002
    assert shipped.outputs(face[None], "age")[0] == pytest.approx(predicted["age"][0] @ np.arange(125), abs=0.05)
    female = predicted["sex"][0, 1]
    assert shipped.outputs(face[None], "sex", "female")[0] == pytest.approx(np.log(female / (1 - female)), abs=0.05)


@pytest.mark.parametrize("target", ["age", "ethnicity"])
def test_integrated_gradients_sum_to_the_whole_difference(target, shipped, face):
    output, baseline = shipped.outputs(np.stack([face, np.full(face.shape, BASELINE)]), target)
    total = shipped.explain(face, target, "integrated_gradients").sum()
    assert total == pytest.approx(output - baseline, rel=0.03)


def test_the_map_of_a_mirror_image_is_the_mirrored_map(shipped, face):
    for method in ("gradient", "grad_cam"):
        map_, turned = (shipped.explain(image, "sex", method) for image in (face, face[:, ::-1]))
        np.testing.assert_allclose(turned[:, ::-1], map_, atol=1e-3 * map_.max())
        assert np.abs(map_ - map_[:, ::-1]).max() > 0.05 * map_.max()


def test_the_predicted_class_is_explained_by_default(shipped, face):
    predicted, female, male = (shipped.outputs(face[None], "sex", label)[0] for label in (None, "female", "male"))
    assert predicted == female == -male > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("age", "guess"), "method 'guess' is not one of gradient, "),
        (("mood", "gradient"), "target 'mood' is not one of the model's: age, sex, ethnicity"),
        (("sex", "gradient", "woman"), "sex is one of male, female, not 'woman'"),
        (("age", "gradient", "30"), "age has no classes to choose from, not '30'"),
    ],
)
def test_unknown_methods_targets_and_classes_are_refused(words, message, shipped, face):
    with pytest.raises(ValueError, match=message):
        shipped.explain(face, *words)


def test_an_image_of_another_size_is_refused(shipped, face):
    with pytest.raises(ValueError, match=r"shape \(95, 96, 3\): the model takes \(96, 96, 3\)"):
        shipped.explain(face[1:], "age", "gradient")


def test_files_that_are_no_model_are_refused(tmp_path):
    (tmp_path / "text.keras").write_text("no model")
    image = keras.Input((8, 8, 3), dtype="uint8")
    x = layers.Flatten()(layers.Rescaling(1 / 255)(image))
    keras.Model(image, layers.Dense(2)(x)).save(tmp_path / "nameless.keras")
    keras.Model(image, {"sex": layers.Dense(2, name="sex")(x)}).save(tmp_path / "logits.keras")
    flat = keras.Input((8,))
    keras.Model(flat, {"sex": layers.Softmax()(layers.Dense(2)(flat))}).save(tmp_path / "flat.keras")
    for name, message in (
        ("none.keras", "there is no such file"),
        ("text.keras", "cannot open it"),
        ("nameless.keras", "has none of the outputs age, sex, ethnicity"),
        ("logits.keras", "sex is not 2 probabilities: save the model that export.served returns"),
        ("flat.keras", r"takes images of the shape \(None, 8\)"),
        ("", "cannot open it"),
    ):
        with pytest.raises(ModelError, match=message):
            Explainer(tmp_path / name)


def test_importing_loads_no_tensorflow():
    code = "import sys, faces.inference.attribution; assert not {'tensorflow', 'keras'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_a_mean_map_streams_and_needs_one():
    mean = attribution.mean_map(np.full((2, 3), value) for value in (1.0, 2.0, 6.0))
    assert (mean.tolist(), mean.dtype) == ([[3.0] * 3] * 2, np.float32)
    with pytest.raises(ValueError, match="no maps"):
        attribution.mean_map([])


def test_a_map_is_scaled_by_a_percentile_and_clipped():
    map_ = np.concatenate([np.linspace(-4, 0, 99), [900.0]]).reshape(10, 10)
    scaled = attribution.normalised(map_, 98)
    scale = np.percentile(np.abs(map_), 98)
    assert scale < 5
    np.testing.assert_allclose(scaled.ravel()[[0, 50, 99]], [-1, map_.ravel()[50] / scale, 1], rtol=1e-6)
    dot = np.zeros((20, 20))
    dot[3, 4] = -7
    assert attribution.normalised(dot).min() == -1  # its percentile is 0
    assert np.array_equal(attribution.normalised(np.zeros((4, 4))), np.zeros((4, 4)))


def test_the_overlay_colours_places_where_the_map_is_large():
    image = np.full((1, 4, 3), 100, np.uint8)
    overlaid = attribution.overlay(image, np.array([[1.0, -1.0, 0.4, -0.4]]), threshold=0.5)
    assert overlaid.dtype == np.uint8
    red, blue = overlaid[0, 0].astype(int), overlaid[0, 1].astype(int)
    assert red.tolist() == [20 + round(0.8 * 103), 20, 20 + round(0.8 * 31)]  # the last of RdBu_r: 103, 0, 31
    assert blue[2] > blue[0]
    assert np.array_equal(overlaid[0, 2:], image[0, 2:])
    plain = attribution.overlay(image[:, :2], np.array([[0.0, 1.0]]), signed=False)
    expected = [[100] * 3, [20 + 0.8 * 253, 20 + 0.8 * 231, 20 + 0.8 * 37]]  # the last of viridis: 253, 231, 37
    np.testing.assert_allclose(plain[0], expected, atol=1)
