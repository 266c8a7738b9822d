"""Age intervals keep their word, probabilities are made honest, both by what the calibration part shows."""

import json

import numpy as np
import onnx
import pytest

from faces import targets
from faces.evaluation import calibration, calibration_fit, reliability
from faces.inference.predictor import Predictor, with_calibration

YEARS = np.arange(125)


def crowd(n, seed, sd=3.0, truth=6.0):
    """Distributions over years of n faces that are too sure of themselves, and the true ages."""
    rng = np.random.default_rng(seed)
    middle = rng.uniform(15, 80, n)
    ages = np.round(np.clip(middle + rng.normal(0, truth, n), 0, 110))
    p = np.exp(-0.5 * ((YEARS - middle[:, None]) / sd) ** 2)
    return p / p.sum(axis=1, keepdims=True), ages


@pytest.mark.parametrize("confidence", [0.8, 0.9, 0.95])
def test_intervals_hold_what_they_state_also_where_the_model_is_too_sure(confidence):
    covered = []
    for seed in range(20):
        fitted = calibration_fit.fit_interval(*crowd(400, seed), confidence)
        p, ages = crowd(4000, 100 + seed)
        low, high = calibration.age_interval(p, fitted)
        covered.append(((low <= ages) & (ages <= high)).mean())
        assert fitted["scale"] > 1.3  # the model's own intervals are half as wide as they must be
    assert np.mean(covered) == pytest.approx(confidence, abs=0.012)


@pytest.mark.parametrize(
    ("n", "confidence", "rank"),  # k = ceil((n + 1) * confidence); None where it is above n
    [
        (8, 0.9, None), (9, 0.9, 9), (10, 0.9, 10), (19, 0.9, 18), (389, 0.9, 351), (390, 0.9, 352), (399, 0.9, 360),
        (18, 0.95, None), (19, 0.95, 19), (99, 0.95, 95), (9, 0.7, 7), (99, 0.07, 7), (999, 0.999, 999), (1, 0.5, 1),
    ],
)  # fmt: skip
def test_the_scale_is_the_score_of_its_rank(n, confidence, rank):
    """Each model interval is half a year to either side, so an error of k years has the score 2 k."""
    p = np.repeat(at([50]), n, axis=0)
    errors = np.arange(1, n + 1) * np.where(np.arange(n) % 2, 1, -1) / 8
    fitted = calibration_fit.fit_interval(p, 50 + np.random.default_rng(0).permutation(errors), confidence)
    assert fitted == {"confidence": confidence, "scale": None if rank is None else rank / 4}


def test_at_each_size_a_new_face_is_inside_as_often_as_stated():
    """Of n + 1 exchangeable faces, the last has a score of rank k or less with probability k / (n + 1)."""
    rng = np.random.default_rng(0)
    for n in (9, 19, 29):
        inside = []
        for errors in rng.exponential(5, (2000, n + 1)):
            fitted = calibration_fit.fit_interval(np.repeat(at([60]), n, axis=0), 60 + errors[:-1], 0.9)
            inside.append(errors[-1] * 2 <= fitted["scale"])
        assert np.mean(inside) == pytest.approx(0.9, abs=0.02)  # 3 standard errors; a rank too high gives 0.93 to 1


def test_too_few_faces_give_all_ages():
    p, ages = crowd(5, 0)
    fitted = calibration_fit.fit_interval(p, ages, 0.9)
    assert fitted["scale"] is None
    low, high = calibration.age_interval(p, fitted)
    assert (low == 0).all()
    assert (high == 124).all()
    assert calibration_fit.fit_interval(p[:0], ages[:0], 0.9)["scale"] is None


def test_intervals_lie_around_the_median_and_within_all_ages():
    p, _ = crowd(200, 3)
    low, high = calibration.age_interval(p, {"confidence": 0.9, "scale": 5.0})
    median = targets.median_age(p)
    assert (low <= median).all()
    assert (median <= high).all()
    assert low.min() >= 0
    assert high.max() <= 124


def at(years, weights=None):
    """One distribution (1, 125) over some years, evenly or by weights."""
    p = np.zeros((1, 125))
    p[0, years] = weights or 1 / len(years)
    return p


def test_sides_of_the_middle_by_hand():
    even = at([28, 29, 30, 31, 32])  # from 27.5 to 32.5 years
    assert [float(side[0]) for side in calibration.sides(even, 0.8)] == pytest.approx([30, 2, 2])
    skewed = at([20, 21, 29], [0.6, 0.2, 0.2])  # 5 % at 19.5 + 0.05 / 0.6, 95 % at 28.5 + 0.15 / 0.2
    middle, below, above = (float(side[0]) for side in calibration.sides(skewed, 0.9))
    assert (middle, below, above) == pytest.approx((20, 0.5, 9.25))
    assert middle - targets.quantile_age(skewed, 0.05)[0] == pytest.approx(0.5 - 0.05 / 0.6)  # less than half a year


@pytest.mark.parametrize("confidence", [0.1, 0.5, 0.9])
def test_a_face_of_one_year_for_certain_has_half_a_year_to_each_side(confidence):
    assert [float(side[0]) for side in calibration.sides(at([30]), confidence)] == [30, 0.5, 0.5]


def test_intervals_by_hand():
    p = np.concatenate([at([28, 29, 30, 31, 32]), at([1]), at([123]), at([0])])
    low, high = calibration.age_interval(p, {"confidence": 0.8, "scale": 1.5})
    assert low == pytest.approx([27, 0.25, 122.25, 0])
    assert high == pytest.approx([33, 1.75, 123.75, 0.75])
    low, high = calibration.age_interval(p, {"confidence": 0.8, "scale": 4.0})  # no age is below 0 or above 124
    assert low == pytest.approx([22, 0, 121, 0])
    assert high == pytest.approx([38, 3, 124, 2])


def test_temperatures_by_hand():
    p = np.array([[0.9, 0.1], [0.5, 0.5]])
    assert calibration.temper(p, 2.0) == pytest.approx(np.array([[0.75, 0.25], [0.5, 0.5]]))  # the root of 9 is 3
    assert calibration.temper(p, 0.5) == pytest.approx(np.array([[81 / 82, 1 / 82], [0.5, 0.5]]))
    assert calibration.temper(p, 1.0) == pytest.approx(p)
    sure = calibration.temper(np.array([[1.0, 0.0]]), 2.0)  # 0 counts as 1e-12
    assert sure[0, 1] / sure[0, 0] == pytest.approx(1e-6)


def test_only_fitted_targets_are_calibrated():
    p = {"age": at([30, 40]), "sex": np.array([[0.9, 0.1]]), "ethnicity": np.array([[0.6, 0.4]])}
    result = calibration.apply(p, {"sex": {"temperature": 2.0}, "age": {"confidence": 0.9, "scale": 1.0}})
    assert list(result) == list(p)
    assert result["sex"] == pytest.approx(np.array([[0.75, 0.25]]))
    assert result["age"] is p["age"]
    assert result["ethnicity"] is p["ethnicity"]


def test_a_model_that_is_too_sure_gets_a_temperature_that_mends_it():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.5, (4000, 5))
    honest = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    classes = np.array([rng.choice(5, p=row) for row in honest])
    sure = calibration.temper(honest, 1 / 3)  # logits times 3
    fitted = calibration_fit.fit_temperature(sure[:2000], classes[:2000], 0.9)
    assert fitted["temperature"] == pytest.approx(3, rel=0.1)

    def error(p):
        curve = reliability.curve(p.max(axis=1), p.argmax(axis=1) == classes[2000:])
        return reliability.expected_error(curve)

    assert error(sure[2000:]) > 0.15
    assert error(calibration.temper(sure[2000:], fitted["temperature"])) < 0.03


def test_ages_that_were_taught_too_wide_are_told_narrower():
    rng = np.random.default_rng(0)
    years, middle = np.arange(125), rng.uniform(20, 80, (4000, 1))
    ages = np.round(rng.normal(middle[:, 0], 3))
    wide = np.exp(-0.5 * ((years - middle) / 4.5) ** 2)
    wide /= wide.sum(axis=1, keepdims=True)
    fitted = calibration_fit.fit_years(wide[:2000], ages[:2000], 0.9)
    assert fitted["temperature"] == pytest.approx((3 / 4.5) ** 2, rel=0.1)
    assert fitted["scale"] == pytest.approx(1, abs=0.1)  # at that temperature the intervals are right as they are
    low, high = calibration.age_interval(calibration.temper(wide[2000:], fitted["temperature"]), fitted)
    assert ((low <= ages[2000:]) & (ages[2000:] <= high)).mean() == pytest.approx(0.9, abs=0.03)
    assert calibration_fit.fit_years(wide[:0], ages[:0], 0.9) == {"temperature": 1.0, "confidence": 0.9, "scale": None}


def test_a_network_that_tells_one_number_tells_it_unchanged():
    p, ages = crowd(800, 0, sd=1.0, truth=10.0)
    p = p.astype(np.float32)  # as a model gives it: nothing is left of what lies 14 years away
    fitted = calibration_fit.fit_years(p, ages, 0.9)
    assert fitted["temperature"] == 1.0
    low, high = calibration.age_interval(p, fitted)
    assert ((low <= ages) & (ages <= high)).mean() == pytest.approx(0.9, abs=0.01)


def test_a_few_faces_that_are_all_right_do_not_make_a_model_certain():
    p = np.tile([0.7, 0.3], (10, 1))
    p[5:] = p[5:, ::-1]
    fitted = calibration_fit.fit_temperature(p, np.repeat([0, 1], 5), 0.9)
    assert 0.3 < fitted["temperature"] < 1
    assert calibration.temper(p, fitted["temperature"]).max() < 0.95


def test_one_class_or_no_face_tells_nothing():
    p = np.full((10, 2), 0.5)
    assert calibration_fit.fit_temperature(p, np.zeros(10), 0.9) == {"temperature": 1.0}
    assert calibration_fit.fit_temperature(p[:0], np.zeros(0), 0.9) == {"temperature": 1.0}


def test_reliability_by_hand():
    curve = reliability.curve(np.array([0.95, 0.95, 0.55, 1.0]), np.array([True, False, True, True]))
    assert curve["n"].tolist() == [0, 0, 0, 0, 0, 1, 0, 0, 0, 3]
    assert curve["accuracy"].iloc[9] == pytest.approx(2 / 3)
    expected = (1 * abs(1 - 0.55) + 3 * abs(2 / 3 - 2.9 / 3)) / 4
    assert reliability.expected_error(curve) == pytest.approx(expected)
    edge = reliability.curve(np.array([0.5, 0.51]), np.array([False, False]))  # a bin has its upper end
    assert edge["n"].tolist() == [0, 0, 0, 0, 1, 1, 0, 0, 0, 0]
    assert edge["accuracy"].dropna().tolist() == [0, 0]


def test_the_predictor_gives_interval_and_honest_probability(tmp_path):
    """A graph that says the same of every image: age 30 or 50 evenly, female with 0.9."""
    about = {"targets": ["age", "sex"], "pack_size": 36, "image_size": 32, "variant": "cropped"}
    age = np.zeros((1, 125), np.float32)
    age[0, [30, 50]] = 0.5
    constants = {"age": age, "sex": np.array([[0.1, 0.9]], np.float32)}
    nodes = [onnx.helper.make_node("Shape", ["image"], ["shape"]),
             onnx.helper.make_node("Slice", ["shape", "zero", "one"], ["n"]),
             onnx.helper.make_node("Concat", ["n", "one"], ["tile"], axis=0)]  # fmt: skip
    nodes += [onnx.helper.make_node("Tile", [f"{k}_row", "tile"], [k]) for k in constants]
    start = [onnx.numpy_helper.from_array(np.array([v], np.int64), k) for k, v in (("zero", 0), ("one", 1))]
    start += [onnx.numpy_helper.from_array(v, f"{k}_row") for k, v in constants.items()]
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes, "g", [value("image", onnx.TensorProto.UINT8, ["n", 32, 32, 3])],
        [value(k, onnx.TensorProto.FLOAT, ["n", v.shape[1]]) for k, v in constants.items()], start,
    )  # fmt: skip
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.helper.set_model_props(model, {"faces": json.dumps(about)})
    onnx.save(model, tmp_path / "plain.onnx")
    fitted = {"age": {"confidence": 0.9, "scale": 1.5}, "sex": {"temperature": 2.0}}
    with_calibration(tmp_path / "plain.onnx", fitted, tmp_path / "model.onnx")
    images = np.zeros((3, 32, 32, 3), np.uint8)
    assert "age_low" not in Predictor(tmp_path / "plain.onnx").decode(images)
    result = Predictor(tmp_path / "model.onnx").decode(images)
    assert result["sex_p_female"] == pytest.approx([0.75] * 3)  # (0.9 / 0.1) ** 0.5 is 3 to 1
    assert (result["sex_predicted"] == 1).all()
    assert (result["age_low"] < 30).all()
    assert (result["age_high"] > 50).all()
