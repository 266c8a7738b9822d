"""Maps of attribution are those that are known by hand, and those of a model point to where it looks."""

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
from faces.inference.attribution import GREY, METHODS, Explainer
from faces.inference.predictor import ModelError, Predictor
from faces.targets import TARGETS
from faces.training import callbacks, export, jobs
from stages import train
from tests.conftest import ROOT

HEADS = {"age": 125, "sex": 2, "ethnicity": 5}
SIDE = 16
RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
WEIGHTS = RNG.normal(0, 0.01, (SIDE, SIDE, 3))


def linear_outputs(images):
    return (images * WEIGHTS).sum(axis=(1, 2, 3)) + 3


def linear_slopes(images):
    return np.broadcast_to(WEIGHTS, images.shape)


def by_hand(slopes, image):
    """Maps of a linear function of the slopes (s, s, 3); what each method that needs no convolution must tell."""
    image = image.astype(float)
    change, hidden = slopes * (image - GREY), slopes * (image - image.mean(axis=(0, 1)))
    return {
        "gradient": np.abs(slopes).max(axis=-1),
        "gradient_x_image": change.sum(axis=-1),
        "smoothgrad": np.abs(slopes).max(axis=-1),
        "integrated_gradients": change.sum(axis=-1),
        "occlusion": occluded(hidden.sum(axis=-1)),
    }


def occluded(change):
    """Each place's mean over the squares of 3 x 3 that hide it, one pixel apart, of the change that they make."""
    sums = np.lib.stride_tricks.sliding_window_view(change, (3, 3)).sum(axis=(2, 3))
    found = np.zeros(change.shape)
    for row, column in np.ndindex(change.shape):
        found[row, column] = sums[max(0, row - 2) : row + 1, max(0, column - 2) : column + 1].mean()
    return found


def made_loss():
    """A loss that Keras cannot name."""

    def loss(y, said):
        return keras.ops.mean(said - y, axis=-1)

    return loss


def saved(tmp_path, model, views=1):
    """A network's file, as it is served."""
    export.served(model, views).save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


def normalised_linear():
    """A network whose logits are linear in the pixels, its slopes those of the statistics that training gathered."""
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


def one_corner(views):
    """A network that takes bright pixels of the upper left quarter, and none else, for female."""
    image = keras.Input((SIDE, SIDE, 3), dtype="uint8", name="image")
    x = layers.Rescaling(1 / 255)(image)
    x = layers.Conv2D(1, 1, activation="relu", kernel_initializer="ones")(x)
    x = layers.ZeroPadding2D(((0, 8), (0, 8)))(layers.Cropping2D(((0, 8), (0, 8)))(x))
    dense = layers.Dense(2, name="sex")
    model = keras.Model(image, {"sex": dense(layers.GlobalAveragePooling2D()(x))})
    dense.set_weights([np.array([[-1.0, 1.0]]), np.zeros(2)])
    return model, views


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
    """The astronaut's face, as the shipped model sees it."""
    predictor, photo = Predictor(ROOT / "pretrained/utkface.onnx", threads=1), Image.fromarray(skimage.data.astronaut())
    _, seen = photos.faces(photo, predictor, detection.FaceDetector(threads=1))
    return seen[0]


def test_maps_of_a_linear_function_are_known():
    image, wanted = IMAGE.astype(np.float32), by_hand(WEIGHTS, IMAGE)
    found = {
        "gradient": attribution.saliency(WEIGHTS),
        "gradient_x_image": attribution.gradient_x_image(linear_slopes, image),
        "smoothgrad": attribution.smoothgrad(linear_slopes, image, copies=3),
        "integrated_gradients": attribution.integrated_gradients(linear_slopes, image, steps=5),
        "occlusion": attribution.occlusion(linear_outputs, image, 3 / SIDE, 1 / SIDE),
    }
    for name, map_ in found.items():
        np.testing.assert_allclose(map_, wanted[name], atol=1e-4, err_msg=name)


def test_integrated_gradients_of_a_square_add_up_to_its_difference():
    image = IMAGE.astype(np.float32)
    found = attribution.integrated_gradients(lambda images: 2 * images, image, grey=50.0, steps=64)
    np.testing.assert_allclose(found, (image**2 - 50.0**2).sum(axis=-1), rtol=1e-3, atol=20)


def test_smoothgrad_looks_at_copies_as_noisy_as_it_says_the_same_each_time():
    seen = []

    def slopes(images):
        seen.append(images)
        return images

    maps = [attribution.smoothgrad(slopes, np.full((9, 9, 3), 100.0), copies=200, spread=7.0) for _ in range(2)]
    assert np.std(seen[0]) == pytest.approx(7, rel=0.05)
    np.testing.assert_allclose(maps[0], 100, atol=3)  # of the mean of 200 copies, not of each
    assert np.array_equal(*maps)


def test_grad_cam_weighs_channels_by_their_mean_slope():
    features = np.array([[[1.0, 5.0], [2.0, 0.0]], [[0.0, 1.0], [4.0, 0.0]]], np.float32)
    slopes = np.zeros((2, 2, 2), np.float32)
    slopes[0, 0] = 8.0, -4.0  # 2 and -1 in the mean
    found = attribution.grad_cam([features, features], [slopes, slopes], 2)
    np.testing.assert_allclose(found, 2 * np.array([[0, 4], [0, 8]]))


def test_maps_of_a_linear_network_are_known_with_its_statistics_at_rest(tmp_path):
    model, slopes = normalised_linear()
    explainer = Explainer(saved(tmp_path, model))
    for of, sign in (("female", 1), ("male", -1)):
        wanted = by_hand(sign * slopes, IMAGE)
        for method, map_ in wanted.items():
            found = explainer.explain(IMAGE, "sex", method, of)
            np.testing.assert_allclose(found, map_, rtol=1e-3, atol=1e-4, err_msg=f"{of} {method}")
    with pytest.raises(ValueError, match="convolves nothing"):
        explainer.explain(IMAGE, "sex", "grad_cam")


def test_the_log_odds_have_a_slope_where_the_probability_is_1(tmp_path):
    model, slopes = normalised_linear()
    model.get_layer("sex").bias.assign([0.0, 40.0])
    explainer = Explainer(saved(tmp_path, model))
    assert explainer.model(IMAGE[None].astype(np.float32), training=False)["sex"][0, 1] == 1
    logits = model(IMAGE[None], training=False)["sex"].numpy()[0]
    assert explainer.outputs(IMAGE[None], "sex")[0] == pytest.approx(logits[1] - logits[0], rel=1e-5)
    np.testing.assert_allclose(
        explainer.explain(IMAGE, "sex", "gradient"), np.abs(slopes).max(axis=-1), rtol=1e-3, atol=1e-6
    )


def test_an_age_is_explained_in_years():
    p = np.zeros((2, 125), np.float32)
    p[0, [20, 30]], p[1, 77] = (0.25, 0.75), 1
    assert attribution.explained(p, TARGETS["age"]).numpy().ravel().tolist() == pytest.approx([27.5, 77])


@pytest.mark.parametrize("method", ["grad_cam", "occlusion", "gradient", "integrated_gradients"])
def test_a_model_that_looks_at_one_corner_is_found_out(method, tmp_path):
    bright = np.full((SIDE, SIDE, 3), 200, np.uint8)
    bright[:3] = bright[:, -3:] = 20  # so that squares in the mean colour change something
    found = Explainer(saved(tmp_path, *one_corner(1))).explain(bright, "sex", method, "female")
    inside = np.abs(found[:8, :8]).sum()
    assert inside > 0.7 * np.abs(found).sum()
    assert np.abs(found[12:, 12:]).max() == 0


def test_what_the_mirror_image_shows_is_drawn_where_it_is_in_the_picture(tmp_path):
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    image[:6, 10:] = 255  # upper right, where only the mirror image has it in the corner that is looked at
    found = Explainer(saved(tmp_path, *one_corner(2))).explain(image, "sex", "grad_cam", "female")
    assert found[:8, 8:].sum() > 0.99 * found.sum() > 0


@pytest.mark.parametrize(
    ("name", "options", "side", "views"),
    [
        ("residual", {"widths": [8, 16], "blocks": [1, 1], "squeeze": 4}, 32, 2),
        ("umd_fire", {}, 48, 1),
        ("joshi", {"age": "years"}, 64, 2),
        ("imagenet", {"architecture": "MobileNetV3Small"}, 64, 2),  # a model in a model in a model
    ],
)
def test_every_kind_of_network_says_what_its_file_says_and_is_explained(
    name, options, side, views, tmp_path, uncompiled
):
    keras.utils.set_random_seed(0)
    path = saved(tmp_path, networks.build(name, side, HEADS, 0.3, options), views)
    images = np.random.default_rng(0).integers(0, 256, (3, side, side, 3), np.uint8)
    wanted, explainer = keras.models.load_model(path)(images, training=False), Explainer(path)
    said = explainer.model(images.astype(np.float32), training=False)
    assert [target.name for target in explainer.targets] == list(HEADS)
    for target in HEADS:
        assert np.abs(said[target] - wanted[target]).max() < 1e-5
    assert explainer.explain(images[0], "ethnicity", "grad_cam").shape == (side, side)
    assert explainer.explain(images[0], "ethnicity", "gradient").max() > 0


def test_a_folder_that_training_wrote_is_a_model(tmp_path):
    keras.utils.set_random_seed(0)
    model = networks.build("residual", 32, HEADS, 0.0, {"widths": [8], "blocks": [1]})
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    found = jobs.Fitted(model.get_weights(), [{"epoch": 0}], 0, False, {})
    model.compile(loss=dict.fromkeys(HEADS, made_loss()))  # as training leaves it
    train.write(model, found, {"recipe": {"train": {"views": 2}}}, tmp_path, 2, images)
    explainer = Explainer(tmp_path)
    said = explainer.model(images.astype(np.float32), training=False)
    for target, p in callbacks.probabilities(model, images, 2).items():
        assert np.abs(said[target] - p).max() < 1e-5


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
    for method, found in maps.items():
        assert (found.shape, found.dtype) == (face.shape[:2], np.float32)
        assert np.isfinite(found).all()
        assert found.max() > 0
        assert (found.min() < 0) == METHODS[method].signed, method


def test_the_shipped_model_says_on_floats_what_its_onnx_file_says(shipped, face):
    said = Predictor(ROOT / "pretrained/utkface.onnx", threads=1).raw(face[None])
    for target, p in shipped.model(face[None].astype(np.float32), training=False).items():
        if target in HEADS:
            assert np.abs(p - said[target]).max() < 0.002
    assert shipped.outputs(face[None], "age")[0] == pytest.approx(said["age"][0] @ np.arange(125), abs=0.05)
    female = said["sex"][0, 1]
    assert shipped.outputs(face[None], "sex", "female")[0] == pytest.approx(np.log(female / (1 - female)), abs=0.05)


@pytest.mark.parametrize("target", ["age", "ethnicity"])
def test_integrated_gradients_share_out_the_whole_difference(target, shipped, face):
    asked, grey = shipped.outputs(np.stack([face, np.full(face.shape, GREY)]), target)
    total = shipped.explain(face, target, "integrated_gradients").sum()
    assert total == pytest.approx(asked - grey, rel=0.03)


def test_the_map_of_a_mirror_image_is_the_mirrored_map(shipped, face):
    for method in ("gradient", "grad_cam"):
        found, turned = (shipped.explain(image, "sex", method) for image in (face, face[:, ::-1]))
        np.testing.assert_allclose(turned[:, ::-1], found, atol=1e-3 * found.max())
        assert np.abs(found - found[:, ::-1]).max() > 0.05 * found.max()


def test_the_predicted_class_is_explained_unless_another_is_asked_for(shipped, face):
    predicted, female, male = (shipped.outputs(face[None], "sex", of)[0] for of in (None, "female", "male"))
    assert predicted == female == -male > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("age", "guess"), "method 'guess' is not one of gradient, "),
        (("mood", "gradient"), "target 'mood' is not one that the model tells: age, sex, ethnicity"),
        (("sex", "gradient", "woman"), "sex is one of male, female, not 'woman'"),
        (("age", "gradient", "30"), "age has no classes to choose from, not '30'"),
    ],
)
def test_what_the_model_does_not_know_is_told(words, message, shipped, face):
    with pytest.raises(ValueError, match=message):
        shipped.explain(face, *words)


def test_a_picture_of_another_size_is_told(shipped, face):
    with pytest.raises(ValueError, match=r"shape \(95, 96, 3\): the model takes \(96, 96, 3\)"):
        shipped.explain(face[1:], "age", "gradient")


def test_files_that_are_no_model_are_told(tmp_path):
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
        ("nameless.keras", "tells none of age, sex, ethnicity"),
        ("logits.keras", "sex is not told as 2 probabilities: save what training.served gives"),
        ("flat.keras", r"takes pictures of the shape \(None, 8\)"),
        ("", "cannot open it"),
    ):
        with pytest.raises(ModelError, match=message):
            Explainer(tmp_path / name)


def test_importing_loads_no_tensorflow():
    code = "import sys, faces.inference.attribution; assert not {'tensorflow', 'keras'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_a_mean_map_streams_and_needs_one():
    found = attribution.mean_map(np.full((2, 3), value) for value in (1.0, 2.0, 6.0))
    assert (found.tolist(), found.dtype) == ([[3.0] * 3] * 2, np.float32)
    with pytest.raises(ValueError, match="no maps"):
        attribution.mean_map([])


def test_a_map_is_scaled_by_a_percentile_and_cut():
    map_ = np.concatenate([np.linspace(-4, 0, 99), [900.0]]).reshape(10, 10)
    found = attribution.normalised(map_, 98)
    scale = np.percentile(np.abs(map_), 98)
    assert scale < 5
    np.testing.assert_allclose(found.ravel()[[0, 50, 99]], [-1, map_.ravel()[50] / scale, 1], rtol=1e-6)
    dot = np.zeros((20, 20))
    dot[3, 4] = -7
    assert attribution.normalised(dot).min() == -1  # its percentile is 0
    assert np.array_equal(attribution.normalised(np.zeros((4, 4))), np.zeros((4, 4)))


def test_colours_lie_over_the_picture_where_the_map_is_large():
    image = np.full((1, 4, 3), 100, np.uint8)
    found = attribution.overlay(image, np.array([[1.0, -1.0, 0.4, -0.4]]), threshold=0.5)
    assert found.dtype == np.uint8
    red, blue = found[0, 0].astype(int), found[0, 1].astype(int)
    assert red.tolist() == [20 + round(0.8 * 103), 20, 20 + round(0.8 * 31)]  # the last of RdBu_r: 103, 0, 31
    assert blue[2] > blue[0]
    assert np.array_equal(found[0, 2:], image[0, 2:])
    plain = attribution.overlay(image[:, :2], np.array([[0.0, 1.0]]), signed=False)
    wanted = [[100] * 3, [20 + 0.8 * 253, 20 + 0.8 * 231, 20 + 0.8 * 37]]  # the last of viridis: 253, 231, 37
    np.testing.assert_allclose(plain[0], wanted, atol=1)
