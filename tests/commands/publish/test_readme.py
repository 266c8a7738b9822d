"""README.md changes between its marks only."""

import pytest

from commands.publish import readme


def test_the_readme_changes_between_its_marks_alone():
    text = "before\n<!-- results of x: by make publish -->\nold\n<!-- end of results of x -->\nafter\n"
    assert readme.replaced(text, "x", "| new |") == text.replace("old", "| new |")
    with pytest.raises(SystemExit, match="between which the table goes"):
        readme.replaced(text, "y", "| new |")
