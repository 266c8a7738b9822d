"""Minutes of a training, by the times at which its epochs were logged."""

from faces.reporting import training_cost


def test_minutes_are_of_the_median_epoch_of_each_size():
    assert training_cost.minutes([0.0, 60.0, 120.0, 4000.0, 4060.0], [96] * 5) == 5.0  # stopped for an hour
    assert training_cost.minutes([60.0, 120.0, 360.0, 600.0], [48, 48, 96, 96]) == 10.0  # larger images take longer
    assert training_cost.minutes([60.0, 300.0, 540.0], [48, 96, 96]) == 12.0  # one epoch of a size: as the longest
    assert training_cost.minutes([7.0, 7.0, 7.01], [96] * 3) == ""  # logged at once
    assert training_cost.minutes([7.0], [96]) == ""
