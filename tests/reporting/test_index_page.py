"""The index page."""

import json

import pandas as pd

from faces.reporting import index_page


def test_a_table_of_leakage_of_another_run_is_marked(project):
    rows = pd.DataFrame(
        [
            {"model": "m", "faces": "honest split", "target": "age", "score": "mae", "value": 5.123457},
            {"model": "m", "faces": "random split", "target": "age", "score": "mae", "value": 4.0},
        ]
    )
    assert "another run" in index_page.other_run(rows)[0]
    path = project / "reports/models/m/metrics.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"test": {"age_mae": 5.12}}))
    assert index_page.other_run(rows) == []
    path.write_text(json.dumps({"test": {"age_mae": 5.2}}))
    assert "another run" in index_page.other_run(rows)[0]
