"""Every network has logits of its heads, exports, and has as many parameters as its authors' network."""

import keras
import numpy as np
import onnxruntime
import pytest
from keras import ops
from keras.src.applications import resnet

from faces import networks, targets
from faces.training import callbacks, export, losses
from tests.conftest import forget

ALL = {"age": 125, "sex": 2, "ethnicity": 5}
# network, options, image size, heads, weights of its authors' network
PEERS = [
    ("vibalcam", {"widths": [8, 16, 32, 64, 128], "convolutions": 3}, 200, ("age", "sex"), 503_856),
    ("vibalcam", {"widths": [8, 16, 32, 64, 128], "convolutions": 4}, 200, ("age", "sex"), 700_176),
    ("vibalcam", {"widths": [32, 64, 128], "convolutions": 5}, 200, ("age", "sex"), 847_016),
    ("leoiania_ethnicity", {}, 80, ("ethnicity",), 1_132_045),
    ("leoiania_age", {}, 80, ("age",), 2_736_845),
    ("umd_fire", {}, 48, ("age", "sex"), 683_010),
    ("joshi", {}, 198, ("age", "sex"), 471_197),
    ("joshi", {"age": "years"}, 180, ("age",), 965_276),
]


@pytest.fixture(autouse=True)
def forgetting():
    yield
    forget()


@pytest.mark.parametrize(("name", "options", "side", "heads", "_"), PEERS)
def test_initial_weights_follow_from_the_seed(name, options, side, heads, _):
    def initial(seed):
        keras.utils.set_random_seed(seed)
        model = networks.build(name, side, {head: ALL[head] for head in heads}, 0.3, options)
        return [weight.numpy() for weight in model.trainable_weights if len(weight.shape) > 1]

    one, again, other = initial(1), initial(1), initial(2)
    assert all((a == b).all() for a, b in zip(one, again, strict=True))
    assert not any((a == b).all() for a, b in zip(one, other, strict=True))
    assert len({kernel.tobytes() for kernel in one}) == len(one)  # no two layers start alike


def size(weights):
    return sum(int(np.prod(weight.shape)) for weight in weights)


@pytest.mark.parametrize(("name", "options", "side", "heads", "expected"), PEERS)
def test_a_peer_has_as_many_weights_as_its_authors_counted(name, options, side, heads, expected):
    model = networks.build(name, side, {head: ALL[head] for head in heads}, 0.3, options)
    counted = model.weights if name == "joshi" else model.trainable_weights  # Keras counts statistics, PyTorch does not
    assert size(counted) == expected


@pytest.mark.parametrize(
    ("name", "options"),
    [(name, options) for name, options, *_ in PEERS if name != "joshi"]
    + [("imagenet", {"architecture": "MobileNetV3Small"})]
    + [pytest.param("imagenet", {"architecture": "ResNet50"}, marks=pytest.mark.slow)]  # takes 8 GB
    + [("residual", {"widths": [8, 16], "blocks": [1, 1]})]
    + [("residual", {"widths": [8, 16], "blocks": [1, 2], "squeeze": 4})],
)
def test_every_network_predicts_all_targets_and_exports(name, options, tmp_path):
    assert_export_predicts_the_same(networks.build(name, 64, ALL, 0.3, options), tmp_path)


def test_the_preprocessing_of_resnet_50_is_exported(monkeypatch, tmp_path):
    """With three of its sixteen blocks, after the channels are reordered as its weights need them."""

    def shallow(**options):
        def stack(x):
            x = resnet.stack_residual_blocks_v1(x, 8, 1, stride1=1, name="conv2")
            return resnet.stack_residual_blocks_v1(x, 16, 2, name="conv3")

        return resnet.ResNet(stack, False, True, name="resnet50", **options)

    monkeypatch.setattr(keras.applications, "ResNet50", shallow)
    model = networks.build("imagenet", 64, ALL, 0.3, {"architecture": "ResNet50"})
    assert size(model.weights) < 200_000
    assert_export_predicts_the_same(model, tmp_path)


def test_resnet_50_has_as_many_weights_as_keras_counts():
    model = networks.build("imagenet", 32, ALL, 0.3, {"architecture": "ResNet50"})
    assert size(model.get_layer("resnet50").weights) == 23_587_712
    assert {head: logits.shape for head, logits in model.output.items()} == {head: (None, n) for head, n in ALL.items()}


def assert_export_predicts_the_same(model, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
    logits = callbacks.logits(model, images)
    assert {head: values.shape for head, values in logits.items()} == {head: (3, n) for head, n in ALL.items()}
    export.export_onnx(model, tmp_path / "model.onnx", {})
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    for head, p in zip(ALL, session.run(list(ALL), {"image": images}), strict=True):
        assert np.abs(p - callbacks.softmax(logits[head])).max() < 1e-4


def test_a_scalar_age_is_its_own_median_and_mean():
    years = np.array([[0.0], [0.4], [31.3], [77.0], [124.0]], np.float32)
    p = callbacks.softmax(np.asarray(networks.YearsAround(125)(years)))
    decoded = targets.decode(targets.TARGETS["age"], p)
    assert decoded["age_predicted"][2:4].tolist() == [31, 77]  # medians are whole years
    assert np.abs(decoded["age_mean"][2:4] - years[2:4, 0]).max() < 1e-3


def test_the_loss_of_a_scalar_age_is_half_its_squared_error():
    age = targets.TARGETS["age"]
    years = np.array([[20.0], [35.0], [52.5], [60.0]], np.float32)
    true = np.array([20.0, 30.0, 50.0, 70.0], np.float32)
    y_true = np.column_stack([true, losses.target_distribution(age, true, sigma=1.0, smoothing=0.0)])
    logits = networks.YearsAround(125)(years)
    loss = np.asarray(losses.for_target(age, l1=0.0)(ops.convert_to_tensor(y_true), logits))
    assert np.allclose(loss - loss[0], 0.5 * (years[:, 0] - true) ** 2, atol=1e-3)


def test_bins_share_their_probability_among_their_years():
    logits = np.log(np.array([[0.1, 0.6, 0.2, 0.05, 0.05]], np.float32))
    p = callbacks.softmax(np.asarray(networks.YearsOfBins(125)(logits)))
    assert np.allclose(targets.age_bin_probabilities(p), [[0.1, 0.6, 0.2, 0.05, 0.05]])
    assert np.allclose(p[0, 25:50], 0.6 / 25)


def test_one_logit_gives_the_probabilities_of_two_classes():
    p = callbacks.softmax(np.asarray(networks.TwoClasses()(np.array([[0.0], [2.0]], np.float32))))
    assert np.allclose(p[:, 1], [0.5, 1 / (1 + np.exp(-2.0))])


def test_weights_that_cannot_be_downloaded_are_an_error_with_the_remedy(monkeypatch, tmp_path):
    from keras.src.applications import mobilenet_v3

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(mobilenet_v3, "BASE_WEIGHT_PATH", "http://127.0.0.1:9/")
    options = {"architecture": "MobileNetV3Small", "weights": "imagenet"}
    with pytest.raises(SystemExit, match=r"cannot be downloaded .* `weights: null`"):
        networks.build("imagenet", 96, ALL, 0.3, options)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("imagenet", {"architecture": "VGG16"}, "VGG16' is not one of"),
        ("imagenet", {"architecture": "ResNet50", "weights": "mine"}, "weights 'mine'"),
        ("joshi", {"age": "months"}, "neither 'classes' nor 'years'"),
        ("umd_fire", {"widths": [8]}, "no option 'widths'"),
    ],
)
def test_an_unknown_option_is_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        networks.build(name, 96, ALL, 0.3, options)
