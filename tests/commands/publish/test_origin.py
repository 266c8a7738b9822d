"""about.json: other faces, earlier models and outdated tables are noticed."""

import json

import pandas as pd

from commands.publish import origin, page, results
from faces.data import provenance
from faces.params import recipes
from faces.reporting import published


def test_other_faces_are_named():
    about = {"digests": {"split": "a"}, "archives": [{"name": "x.tar", "sha256": "1"}]}
    assert origin.changed_faces(about, about) == ""
    assert "split: not that" in origin.changed_faces(about | {"digests": {"split": "b"}}, about)
    assert "x.tar: not that" in origin.changed_faces(about | {"archives": []}, about)


def test_earlier_models_with_the_same_test_faces_are_listed(tmp_path):
    def about(commit, weights, faces="1"):
        return {"commit": commit, "digests": {published.TEST_FACES: faces, "weights": weights}}

    def publish(content, mae):
        (tmp_path / published.ABOUT).write_text(json.dumps(content))
        scores = [{"title": results.HEADLINES[0][2], "value": mae}, {"title": "of a group", "value": 1.0}]
        pd.DataFrame(scores).to_csv(tmp_path / published.RESULTS, index=False)

    assert origin.earlier_models(tmp_path, about("a", "1")) == page.earlier_section([]) == []
    publish(about("a", "1"), 4.6)
    assert origin.earlier_models(tmp_path, about("b", "1")) == []  # the same model, published again
    first = {"commit": "a", results.HEADLINES[0][2]: 4.6}
    assert origin.earlier_models(tmp_path, about("b", "2")) == [first]
    publish(about("b", "2") | {"earlier": [first]}, 4.5)
    third = origin.earlier_models(tmp_path, about("c", "3"))
    assert [row["commit"] for row in third] == ["a", "b"]
    assert origin.earlier_models(tmp_path, about("c", "2")) == [first]
    assert origin.earlier_models(tmp_path, about("c", "3", faces="2")) == []
    assert "| 4.5" in page.earlier_section(third)[4]


def test_tables_of_another_recipe_or_other_faces_are_marked(tmp_path):
    about = {"digests": {published.TEST_FACES: "a" * 64}, "split_rules": provenance.SPLIT_RULES}
    assert origin.outdated_tables("utkface", about, tmp_path) == {}
    pd.DataFrame({"split": ["a" * 8]}).to_csv(tmp_path / published.PEERS, index=False)
    common = recipes.ablations("utkface")["short"]
    basis = recipes.basis(common, "bfloat16", recipes.expected("utkface"))
    rows = pd.DataFrame({"precision": ["bfloat16"], "basis": [basis]})
    rows.to_csv(tmp_path / published.ABLATIONS, index=False)
    assert origin.outdated_tables("utkface", about, tmp_path) == {}
    rows.assign(basis="12345678").to_csv(tmp_path / published.ABLATIONS, index=False)
    about["digests"][published.TEST_FACES] = "b" * 64
    assert list(origin.outdated_tables("utkface", about, tmp_path)) == ["levers.csv", "peers.csv"]
    del about["split_rules"]  # published before it was kept
    assert origin.outdated_tables("utkface", about, tmp_path)[origin.SPLIT] == provenance.EARLIER
