"""Muon makes updates of convolutions orthogonal, and uses AdamW for all other variables."""

import keras
import numpy as np
import pytest

from faces import params
from faces.training import optimizers

RATE = 0.01


@pytest.fixture
def settings(project):
    changes = {"learning_rate": RATE, "warmup": 0.0, "weight_decay": 0.0}
    return params.load().train.model_copy(update=changes)


def step(settings, shape):
    """How one step of a random gradient changes a variable."""
    rng = np.random.default_rng(0)
    variable = keras.Variable(rng.normal(0, 1, shape).astype(np.float32))
    before = variable.numpy().copy()
    optimizer = optimizers.build(settings, 1000)
    optimizer.build([variable])
    optimizer.apply([keras.ops.convert_to_tensor(rng.normal(0, 0.01, shape).astype(np.float32))], [variable])
    return before - variable.numpy()


def test_a_convolution_moves_along_orthogonal_directions(settings):
    change = step(settings.model_copy(update={"optimizer": "muon"}), (3, 3, 16, 24))
    sizes = np.linalg.svd(change.reshape(-1, 24), compute_uv=False)
    expected = RATE * 0.2 * np.sqrt(3 * 3 * 16)
    assert 0.6 * expected < sizes.min() < sizes.max() < 1.3 * expected
    assert np.sqrt((change**2).mean()) == pytest.approx(0.2 * RATE, rel=0.25)


@pytest.mark.parametrize("shape", [(16, 24), (24,), (3, 3, 24, 1)])
def test_other_variables_move_as_with_adamw(settings, shape):
    muon = step(settings.model_copy(update={"optimizer": "muon"}), shape)
    assert np.allclose(muon, step(settings, shape), rtol=1e-3, atol=1e-6)
    assert np.abs(muon).max() == pytest.approx(RATE, rel=0.01)


@pytest.mark.parametrize("shape", [(432, 48), (48, 96), (16, 16)])
def test_the_iteration_changes_singular_values_alone(shape):
    x = np.random.default_rng(1).normal(0, 1, shape).astype(np.float32)
    muon = optimizers.Muon(RATE)
    left, values, right = np.linalg.svd(x / np.linalg.norm(x), full_matrices=False)
    for _ in range(5):
        values = muon.muon_a * values + muon.muon_b * values**3 + muon.muon_c * values**5
    result = np.asarray(muon.zeropower_via_newtonschulz5(keras.ops.convert_to_tensor(x), 5))
    assert np.abs(result - (left * values) @ right).max() < 1e-4 * np.abs(result).max()
