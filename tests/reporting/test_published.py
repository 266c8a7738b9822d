"""Published results know their test faces."""

import pandas as pd

from faces.reporting import published


def test_test_faces_are_known_by_their_ids_alone(tmp_path):
    def digest(**parts):
        rows = [(face, part) for part, faces in parts.items() for face in faces]
        pd.DataFrame(rows, columns=["face_id", "part"]).to_csv(tmp_path / "split.csv", index=False)
        return published.digest_test_faces(tmp_path / "split.csv")

    first = digest(train="abc", val="de", test="fg")
    assert digest(train="abcd", test="gf", val="e") == first
    assert digest(train="abc", val="de", test="fh") != first
