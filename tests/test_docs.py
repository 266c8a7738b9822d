"""The documentation is short and plain, and names only commands, paths, params and stages that exist."""

import re

import pytest
import yaml

from commands import params_page
from tests.conftest import ROOT

README, DOCS = ROOT / "README.md", sorted((ROOT / "docs").glob("*.md"))
PAGES = [README, *DOCS]
GENERATED = "params.md"  # a reference of keys, whose length follows from them
MADE_BY_RUNS = ("data", "mlruns", "mlflow.db")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
CREATED = re.compile(r"^`([^`\s]+)`:\n\n```", re.MULTILINE)  # the caption of a file that a reader is told to create
PLACEHOLDER = re.compile(r"\b[A-Z]+\b")  # NAME, DATASET, D
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def sentences(text):
    """Sentences of a page's prose: they end at . ! ? and at the end of a paragraph, a list item and a heading.

    Code blocks, tables and comments are left out, and of a link the address.
    """
    text = re.sub(r"<!--.*?-->|^\|.*$", "", FENCE.sub("", text), flags=re.MULTILINE)
    text = re.sub(r"\]\([^)]*\)", "]", text)
    blocks = re.split(r"\n\s*\n|\n(?=\s*[-#>]|\s*\d+\. )", text)
    blocks = [re.sub(r"^\s*([-#>]+|\d+\.)\s", "", block) for block in blocks]
    parts = [part for block in blocks for part in re.split(r"[.!?]\**\s+", block)]
    return [part for part in parts if part.strip()]


def code(text):
    """Code blocks and inline code of a page."""
    return "\n".join([*FENCE.findall(text), *inline_code(text)])


def inline_code(text):
    return re.findall(r"`([^`\n]+)`", FENCE.sub("", text))


def table(text, heading):
    """Rows of the table whose first column has a heading, without the heading: lists of cells."""
    lines = text[text.index(f"| {heading} |") :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def slug(heading):
    """Anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def body(stage):
    return STAGES[stage].get("do", STAGES[stage])


def test_params_page_is_current():
    assert (ROOT / "docs" / GENERATED).read_text() == params_page.page((ROOT / "params.yaml").read_text())


def test_sentences_end_where_a_reader_pauses():
    text = "# A heading\n\nOne. **Two.** Three\nand more: [here](a.md), too.\n- four\n1. five\n"
    text += "\n```\ncode. x\n```\n| a. | b |\n"
    assert [part.split()[0] for part in sentences(text)] == ["A", "One", "**Two", "Three", "four", "five"]
    assert len(sentences(text)[3].split()) == 5


def test_the_pages_are_short():
    assert len(README.read_text().split()) <= 1250
    assert sum(len(page.read_text().split()) for page in DOCS if page.name != GENERATED) <= 8050


def test_tests_that_hold_a_promise_exist():
    text = (ROOT / "docs/security.md").read_text()
    named = [re.findall(r"`(tests/\S+\.py)::(test_\w+)`", row[1]) for row in table(text, "promise")]
    assert all(named)
    for path, name in (test for tests in named for test in tests):
        assert re.search(rf"^def {name}\(", (ROOT / path).read_text(), re.MULTILINE), f"{path}::{name}"


def test_the_readme_begins_with_a_command():
    before, _, after = README.read_text().partition("```")
    assert len(before.split()) <= 120
    assert after.split()[0] == "make"


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_a_page_opens_with_one_sentence_on_its_purpose(page):
    heading, first, *_ = page.read_text().split("\n\n")
    assert heading.startswith("# ")
    assert first.startswith("This page ")
    assert len(sentences(first)) == 1


def test_sentences_are_short():
    lengths = [len(part.split()) for page in PAGES for part in sentences(page.read_text())]
    assert sum(length > 30 for length in lengths) < 0.1 * len(lengths)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    lost = []
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", page.read_text())):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        headings = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE) if anchor and file.exists() else []
        if not file.exists() or (anchor and anchor not in map(slug, headings)):
            lost.append(target)
    assert lost == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_exist(page):
    text = page.read_text()
    created = CREATED.findall(text)
    top = {path.name for path in ROOT.iterdir()} - set(MADE_BY_RUNS)
    files = re.compile(r"[\w-]+\.(md|yaml|in|txt|cff|lock|toml)")
    lost = []
    for name in inline_code(text):
        whole = "/" in name and name.split("/")[0] in top and re.fullmatch(r"[\w./-]+", name)
        if (whole or files.fullmatch(name)) and name not in created:
            pattern = PLACEHOLDER.sub("*", name.removesuffix("/")) if name not in top else name
            if not any(ROOT.glob(pattern)):
                lost.append(name)
    assert lost == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_exist(page):
    text = code(page.read_text())
    lost = set(re.findall(r"\bmake ([a-z][a-z-]*)", text)) - targets()
    for module in re.findall(r"python -m ([a-z_.]+)", text):
        path = ROOT / module.replace(".", "/")
        if not (path.with_suffix(".py").exists() or (path / "__init__.py").exists()):
            lost.add(module)
    assert lost == set()


def test_lines_to_insert_below_exist():
    for file, line in re.findall(
        r"^`(\S+)`, below the line `(.+)`:$", (ROOT / "docs/extend.md").read_text(), re.MULTILINE
    ):
        assert [row.strip() for row in (ROOT / file).read_text().splitlines()].count(line) == 1, line


def targets():
    return set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_every_target_of_make_is_described():
    text = "\n".join(code(page.read_text()) for page in PAGES)
    assert targets() - {"help"} - set(re.findall(r"\bmake ([a-z][a-z-]*)", text)) == set()


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != GENERATED], ids=lambda page: page.name)
def test_params_exist(page):
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    names = [name.split(":")[0] for name in inline_code(page.read_text())]
    keys = [name for name in names if re.fullmatch(r"[a-z_]+(\.[A-Za-z_]+)+", name) and name.split(".")[0] in values]
    assert [key for key in keys if not has_key(values, key.split("."))] == []


def has_key(values, key):
    """Whether a mapping has a key; a placeholder stands for the first row of a section, and an empty one has any."""
    for part in key:
        if not isinstance(values, dict) or (values and part not in values and not part.isupper()):
            return False
        values = values.get(part, next(iter(values.values()), {})) if values else {}
    return True


def test_the_table_of_stages_is_that_of_dvc():
    rows = table((ROOT / "docs/pipeline.md").read_text(), "stage")
    written = {
        name.split("@")[0]: re.findall(r"`((?:data|reports)/[^`]+)`", row[2])
        for row in rows
        for name in re.findall(r"`([^`]+)`", row[0])
    }
    assert list(written) == list(STAGES)
    for stage, paths in written.items():
        names = [PLACEHOLDER.sub("*", path) for path in paths]
        outs = [out for out in outputs(body(stage)) if not out.startswith("mlruns/")]
        unnamed = [out for out in outs if not any(f"{out}/".startswith((f"{name}/", f"{name}-")) for name in names)]
        unknown = [name for name in names if not any(f"{out}/".startswith(f"{name}/") for out in outs)]
        assert (unnamed, unknown) == ([], []), stage


def outputs(stage):
    """Paths that a stage writes, with * for what differs from one item of the stage to the next."""
    rows = [row for kind in ("outs", "metrics", "plots") for row in stage.get(kind, ())]
    return [re.sub(r"\$\{.*?\}", "*", row if isinstance(row, str) else next(iter(row))) for row in rows]


def test_the_table_of_reruns_is_that_of_dvc():
    rows = table((ROOT / "docs/pipeline.md").read_text(), "edited")
    wrong = {}
    for places, stages in rows:
        for place in inline_code(places):
            expected = [stage for stage in STAGES if reads(body(stage), place)] or ["none"]
            if sorted(expected) != sorted(stages.split(", ")):
                wrong[place] = ", ".join(expected)
    assert wrong == {}


def reads(stage, place):
    """Whether a stage lists a key of params.yaml, a file or a folder."""
    if "/" not in place:
        keys = [re.sub(r"\$\{.*?\}", "NAME", key).split(".") for key in stage.get("params", ()) if isinstance(key, str)]
        return any(all(a == b for a, b in zip(key, place.split("."), strict=False)) for key in keys)
    deps = [re.sub(r"\$\{.*?\}", "NAME", dep) for dep in stage["deps"] if not dep.startswith("$")]
    return any(f"{dep}/".startswith(place) or place.startswith(f"{dep}/") or dep == place for dep in deps)


def test_the_version_is_the_same_everywhere():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"]
    assert re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[1] == cited
