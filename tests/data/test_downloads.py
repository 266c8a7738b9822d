"""Downloads: the published addresses, good and bad mirrors, and the message where none gives the file."""

import collections
import contextlib
import dataclasses
import hashlib
import json
import re
import subprocess
from pathlib import Path

import pytest

from commands import fetch
from faces import params
from faces.data import archives, datasets, downloads, fetching
from faces.data.archives import ArchiveError
from faces.data.datasets import Archive, utkface
from faces.runtime import redirects
from stages import download, pack, parse_labels
from tests import servers
from tests.conftest import encoded, picture, tar, zipped

DRIVE = "drive.google.com/uc?id=0BxYys69jI14kYVM3aVhKS1VhRUk"
HUGGING = "huggingface.co/datasets/py97/UTKFace-Cropped/resolve/main/UTKFace.tar.gz"
KAGGLE = "www.kaggle.com/api/v1/datasets/download/jangedoo/utkface-new"
NAME = "25_1_0_20170116174525125.jpg.chip.jpg"
BREAK = 1_200_000  # bytes; gdown writes 512 KiB at a time
CONTENT = tar([f"UTKFace/{NAME}", *(f"UTKFace/{i}.jpg" for i in range(900))])


@pytest.fixture
def web(tmp_path_factory, monkeypatch):
    """A local server responds to every https address; timeouts are short."""
    with servers.Web(tmp_path_factory.mktemp("web")) as server:
        monkeypatch.setenv("HTTPS_PROXY", server.address)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(server.certificate))
        monkeypatch.setenv("NO_PROXY", "")
        monkeypatch.setenv("no_proxy", "")
        monkeypatch.setattr(fetching, "TIMEOUT", (2.0, 0.5))
        monkeypatch.setattr(fetching, "WAIT", 0.01)
        yield server


@pytest.fixture
def published(monkeypatch):
    """UTKFace.tar.gz with CONTENT as the published file."""
    sums = {"md5": hashlib.md5(CONTENT).hexdigest(), "sha256": hashlib.sha256(CONTENT).hexdigest()}
    archive = dataclasses.replace(utkface.ARCHIVES["cropped"][0], size=len(CONTENT), **sums)
    monkeypatch.setitem(utkface.ARCHIVES, "cropped", (archive,))
    return archive


def official(tmp_path, archive):
    return downloads.download(archive, "official", tmp_path)


def test_the_addresses_are_tried_in_order(web, published, tmp_path):
    web.responses = {HUGGING: servers.whole(CONTENT)}
    entry = official(tmp_path, published)
    assert [where for where, _ in web.requests] == [DRIVE, HUGGING]
    assert entry["official"] is True
    assert [path.name for path in tmp_path.iterdir()] == ["UTKFace.tar.gz"]


def test_google_drive_with_its_page_in_between(web, published, tmp_path):
    form = (
        '<form id="download-form" action="https://drive.usercontent.google.com/download" method="get">'
        '<input type="hidden" name="id" value="X"><input type="hidden" name="confirm" value="t"></form>'
    )
    web.responses = {
        DRIVE: servers.page("Google Drive - Virus scan warning", form),
        "drive.usercontent.google.com/download?id=X&confirm=t": servers.drive(CONTENT, "UTKFace.tar.gz"),
    }
    assert official(tmp_path, published)["official"] is True


def test_kaggles_zip_is_accepted_and_recorded_as_another_file(web, published, tmp_path):
    content = zipped([f"{top}UTKFace/{NAME}" for top in ("", "utkface_aligned_cropped/")])
    web.responses = {
        KAGGLE: servers.status(302, Location="https://storage.googleapis.com/x.zip"),
        "storage.googleapis.com/x.zip": servers.whole(content),
    }
    entry = official(tmp_path, published)
    assert (entry["name"], entry["official"]) == ("utkface-new.zip", False)
    members = archives.members(tmp_path / "utkface-new.zip")
    once = pack.new(members, utkface.face_id, lambda name, reason: pytest.fail(reason), collections.Counter())
    assert [face for face, _ in once] == [utkface.face_id(NAME)]


QUOTA = '<p class="uc-error-subcaption">Too many users have viewed or downloaded this file recently.</p>'
OTHER = tar(["other.jpg"])
BAD = {
    "quota page": (servers.page("Google Drive - Quota exceeded", QUOTA), "Too many users have viewed or downloaded"),
    "access page": (servers.page("Google Drive: Sign-in"), "You may need to change the permission"),
    "404": (servers.status(404), "answers 404 Not Found"),
    "500": (servers.status(503), r"answers 503 Service Unavailable \(5 tries"),
    "redirect loop": (servers.status(302, Location=f"https://{HUGGING}"), "redirects without end"),
    "a page": (servers.page("Hugging Face: log in"), r'is not an archive but a web page \("Hugging Face: log in"\)'),
    "nothing": (servers.whole(b""), "is not an archive but an empty file"),
    "breaks off": (servers.breaks_off(CONTENT, 0), "incomplete: received 0 bytes but the server announced"),
    "silence": (servers.falls_silent(CONTENT, 0, 2), "no byte for 0 s"),
    "wrong length": (
        lambda handler: servers.send(handler, CONTENT[:-100]),
        r"is not the published file \(\d+ bytes, sha256 \w{12}…\)",
    ),
    "another file": (servers.whole(OTHER), r"is not the published file"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_response_is_reported_with_the_remedy(web, published, tmp_path, name):
    response, fault = BAD[name]
    web.responses = {DRIVE if "page" in name and name != "a page" else HUGGING: response}
    with pytest.raises(ArchiveError, match=fault) as error:
        official(tmp_path, published)
    message = str(error.value)
    assert message.startswith("UTKFace.tar.gz could not be downloaded:\n  https://drive.google.com/uc?id=")
    assert "By hand: open https://susanqq.github.io/UTKFace/" in message
    assert "set data.source in params.yaml" in message
    assert not list(tmp_path.glob("*.gz"))


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://127.0.0.1/a", "gopher://127.0.0.1/a"])
def test_a_redirect_to_another_scheme_is_not_followed(web, published, tmp_path, address):
    web.responses = {HUGGING: servers.status(302, Location=address)}
    with pytest.raises(ArchiveError, match=r"redirects to \w+://, which is not followed: it must be http or https"):
        official(tmp_path, published)


PRIVATE = ["127.0.0.2", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "10.0.0.1", "169.254.169.254"]


@pytest.mark.parametrize("host", PRIVATE)
def test_a_redirect_to_a_private_address_of_another_host_is_not_followed(web, published, tmp_path, host):
    web.responses = {HUGGING: servers.status(302, Location=f"http://{host}:{web.server.server_port}/a")}
    with pytest.raises(ArchiveError, match=r"another host with the private address .*, which is not followed"):
        official(tmp_path, published)


def test_a_redirect_to_a_public_address_and_one_that_only_a_proxy_knows_are_followed():
    for address in ("https://1.1.1.1/a", "http://198.18.0.9/a", "https://unknown.invalid/a"):
        redirects.check("example.org", address)


def test_a_mirror_at_a_private_address_may_redirect_to_itself_only(web, project, edit):
    here = f"127.0.0.1:{web.server.server_port}"
    web.responses = {
        f"{here}/UTKFace.tar.gz": servers.status(302, Location=f"http://{here}/moved.gz"),
        f"{here}/moved.gz": servers.whole(CONTENT),
        f"{here}/other/UTKFace.tar.gz": servers.status(302, Location=f"http://localhost:{web.server.server_port}/a"),
    }
    with pytest.raises(ArchiveError, match=r"redirects to localhost, another host"):
        from_mirror(edit, f"{web.address}/other")
    edit(r"^  source: \S+", "  source: sample")
    edit(r"^budget: \S+", "budget: sample")
    assert from_mirror(edit, web.address)["size"] == len(CONTENT)


def test_archives_that_are_read_in_place_follow_the_same_redirects(web):
    here, other = (f"{host}:{web.server.server_port}" for host in ("127.0.0.1", "localhost"))
    web.responses = {
        f"{here}/a.tar.gz": servers.status(302, Location="/b.tar.gz"),
        f"{here}/b.tar.gz": servers.whole(CONTENT),
        f"{here}/c.tar.gz": servers.status(302, Location=f"http://{other}/b.tar.gz"),
        f"{other}/b.tar.gz": servers.whole(CONTENT),
    }
    assert archives.file_size(f"http://{here}/a.tar.gz") == len(CONTENT)
    with pytest.raises(ArchiveError, match="redirects to localhost, another host with the private address"):
        archives.file_size(f"http://{here}/c.tar.gz")
    assert not any(where.startswith(other) for where, _ in web.requests)


def test_a_body_without_end_is_cut_off(web, tmp_path):
    def endless(handler):
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        with contextlib.suppress(OSError):
            while True:
                handler.wfile.write(b"100000\r\n" + bytes(1 << 20) + b"\r\n")

    web.responses = {f"127.0.0.1:{web.server.server_port}/a.tar": endless}
    archive = Archive("a.tar", about=1_000_000)
    with pytest.raises(ArchiveError, match=r"sends more than 0\.01 GB, and so is not the file that is expected"):
        downloads.download(archive, web.address, tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_announced_size_that_the_disk_has_no_room_for_is_reported_at_once(web, tmp_path):
    here = f"127.0.0.1:{web.server.server_port}/a.tar"
    web.responses = {here: lambda handler: servers.send(handler, CONTENT, announced=10**18)}
    with pytest.raises(ArchiveError, match=r"needs 1000000000\.00 GB, and .* GB are free on the disk of"):
        downloads.download(Archive("a.tar"), web.address, tmp_path)


def test_a_server_that_always_breaks_off_and_cannot_resume_is_given_up(web, tmp_path):
    def hurt(handler):
        servers.send(handler, CONTENT[:BREAK], announced=len(CONTENT))
        handler.close_connection = True

    here = f"127.0.0.1:{web.server.server_port}/a.tar"
    web.responses = {here: hurt}
    with pytest.raises(ArchiveError, match="5 tries"):
        downloads.download(Archive("a.tar"), web.address, tmp_path)


def test_a_missing_network_is_reported(monkeypatch, published, tmp_path):
    monkeypatch.setenv("HTTPS_PROXY", "")
    monkeypatch.setattr(fetching, "WAIT", 0.0)
    address = "http://127.0.0.1:9/UTKFace.tar.gz"
    with pytest.raises(ArchiveError, match=r"cannot be reached \(Connection refused\) \(5 tries"):
        official(tmp_path, dataclasses.replace(published, urls=(address,), alternatives=()))


@pytest.mark.parametrize("hurt", [servers.breaks_off(CONTENT, BREAK), servers.falls_silent(CONTENT, BREAK, 2)])
def test_a_broken_connection_is_resumed_where_it_broke(web, published, tmp_path, hurt):
    web.responses = {HUGGING: servers.in_turn(hurt, servers.whole(CONTENT))}
    assert official(tmp_path, published)["official"] is True
    assert (HUGGING, f"bytes={2 * 512 * 1024}-") in web.requests


def test_a_download_that_progresses_is_tried_again_without_limit(web, published, tmp_path):
    web.responses = {HUGGING: servers.breaks_off(CONTENT, 600_000)}
    assert official(tmp_path, published)["official"] is True


def test_a_killed_download_is_resumed_or_restarted_where_a_server_has_no_ranges(web, published, tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "TRIES", 1)
    for ranges in (True, False):
        place = tmp_path / str(ranges)
        place.mkdir()
        web.responses = {HUGGING: servers.breaks_off(CONTENT, BREAK)}
        with pytest.raises(ArchiveError, match=r"1\.0 MB are kept"):
            official(place, published)
        web.requests.clear()
        monkeypatch.setattr(fetching, "TRIES", 3)
        web.responses = {HUGGING: servers.whole(CONTENT, ranges)}
        assert official(place, published)["official"] is True
        assert any(asked.startswith("bytes=") for _, asked in web.requests)
        monkeypatch.setattr(fetching, "TRIES", 1)


def test_a_partial_download_from_an_older_file_is_discarded(web, published, tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "TRIES", 1)
    web.responses = {HUGGING: servers.breaks_off(OTHER + bytes(9_000_000), BREAK)}
    with pytest.raises(ArchiveError):
        official(tmp_path, published)
    monkeypatch.setattr(fetching, "TRIES", 3)
    web.responses = {HUGGING: servers.whole(CONTENT)}
    assert official(tmp_path, published)["official"] is True


def test_an_archive_in_the_cache_is_not_fetched_again(web, published, project, tmp_path):
    subprocess.run(["dvc", "init", "-q", "--no-scm"], check=True)
    Path("before").write_bytes(CONTENT)
    subprocess.run(["dvc", "add", "-q", "before"], check=True)
    place = tmp_path / "place"
    place.mkdir()
    assert official(place, published)["official"] is True
    assert web.requests == []


@pytest.fixture
def part(monkeypatch, edit):
    """part1.tar.gz, without a published checksum, as all of UTKFace's photos; and a row of variants for `found`."""
    archive = Archive("part1.tar.gz", (f"https://{HUGGING}",), about=len(CONTENT))
    monkeypatch.setitem(utkface.ARCHIVES, "full", (archive,))
    row = "  utkface-detected: {dataset: utkface, variant: detected, reader: utkface}\n"
    edit(r"^  wiki-cropped: \{", row + "  wiki-cropped: {")


def test_archives_that_full_has_are_not_fetched_again_for_detected(web, project, edit, part, capsys):
    edit(r"^  source: \S+", "  source: official")
    edit(r"^budget: \S+", "budget: real")
    fetch.print_plan(params.load())
    line = re.search(r"utkface-detected: part1.tar.gz .*", capsys.readouterr().out)[0]
    assert line.endswith("(shared with another variant: fetched once)")
    web.responses = {HUGGING: servers.whole(CONTENT)}
    download.main("utkface", "full")
    web.requests.clear()
    download.main("utkface", "detected")
    assert web.requests == []
    entry = [(project / f"data/raw/utkface/{variant}/provenance.json").read_text() for variant in ("full", "detected")]
    assert entry[0] == entry[1]
    assert (project / "data/raw/utkface/detected/part1.tar.gz").read_bytes() == CONTENT


def test_archives_from_a_mirror_or_changed_ones_are_not_linked(web, project, edit, part, mirror):
    raw = project / "data/raw/utkface"
    (mirror / "part1.tar.gz").write_bytes(OTHER)
    edit(r"^  source: \S+", f"  source: {mirror}")
    edit(r"^budget: \S+", "budget: real")
    download.main("utkface", "full")
    edit(r"^  source: \S+", "  source: official")
    edit(r"^budget: \S+", "budget: real")
    web.responses = {HUGGING: servers.whole(CONTENT)}
    download.main("utkface", "detected")
    assert (raw / "detected/part1.tar.gz").read_bytes() == CONTENT
    download.main("utkface", "full")
    (raw / "full/part1.tar.gz").unlink()
    (raw / "full/part1.tar.gz").write_bytes(OTHER)
    download.main("utkface", "detected")
    assert (raw / "detected/part1.tar.gz").read_bytes() == CONTENT


def test_a_full_disk_is_reported_before_anything_is_fetched(web, published, tmp_path):
    huge = dataclasses.replace(published, size=10**18)
    with pytest.raises(ArchiveError, match=r"needs 1000000000\.00 GB, and .* GB are free on the disk of"):
        official(tmp_path, huge)
    assert not {DRIVE, HUGGING} & {where for where, _ in web.requests}


@pytest.fixture
def mirror(tmp_path_factory):
    return tmp_path_factory.mktemp("mirror")


def from_mirror(edit, source):
    edit(r"^  source: \S+", f"  source: {source}")
    edit(r"^budget: \S+", "budget: real")
    download.main("utkface", "cropped")
    return json.loads(Path("data/raw/utkface/cropped/provenance.json").read_text())["archives"][0]


def test_a_mirror_is_accepted_and_recorded(project, edit, mirror):
    (mirror / "UTKFace.tar.gz").write_bytes(CONTENT)
    entry = from_mirror(edit, mirror)
    assert (entry["name"], entry["official"]) == ("UTKFace.tar.gz", False)
    assert not list((project / "data/partial").glob("download/*"))


def test_a_mirror_may_contain_kaggles_zip(project, edit, mirror):
    (mirror / "archive.zip").write_bytes(zipped([f"UTKFace/{NAME}"]))
    assert from_mirror(edit, mirror)["name"] == "archive.zip"


@pytest.mark.parametrize("itself", [False, True])
def test_a_mirror_may_be_or_contain_an_unpacked_folder(project, edit, mirror, itself):
    folder = mirror / "UTKFace"
    folder.mkdir()
    (folder / NAME).write_bytes(encoded(picture(1)))
    entry = from_mirror(edit, folder if itself else mirror)
    assert entry["name"] == "UTKFace.tar"
    members = dict(archives.members(project / "data/raw/utkface/cropped/UTKFace.tar"))
    assert members == {NAME: (folder / NAME).read_bytes()}
    download.main("utkface", "cropped")
    assert json.loads((project / "data/raw/utkface/cropped/provenance.json").read_text())["archives"][0] == entry


def test_a_download_from_a_web_mirror_is_resumed(web, project, edit):
    here = f"127.0.0.1:{web.server.server_port}/UTKFace.tar.gz"
    web.responses = {here: servers.in_turn(servers.breaks_off(CONTENT, BREAK), servers.whole(CONTENT))}
    assert from_mirror(edit, web.address)["size"] == len(CONTENT)
    assert web.requests[-1] == (here, f"bytes={2 * 512 * 1024}-")


def test_an_fsspec_address_works(project, edit):
    import fsspec

    with fsspec.open("memory://faces/UTKFace.tar.gz", "wb") as file:
        file.write(CONTENT)
    assert from_mirror(edit, "memory://faces")["size"] == len(CONTENT)


@pytest.mark.parametrize("where", ["memory", "folder"])
@pytest.mark.parametrize("name", ["UTKFace.tar.gz", "utkface-new.zip"])
def test_archives_are_read_in_place(project, edit, tmp_path, where, name):
    import fsspec

    content = CONTENT if name.endswith("gz") else zipped([f"UTKFace/{i}.jpg" for i in range(901)])
    source = "memory://lying" if where == "memory" else str(tmp_path / "lying")
    address = f"{source}/{name}"
    with fsspec.open(address, "wb", auto_mkdir=True) as file:
        file.write(content)
    edit(r"^  in_place: false", "  in_place: true")
    entry = from_mirror(edit, source)
    assert entry == {
        "name": name,
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "official": False,
        "address": address,
    }
    raw = Path("data/raw/utkface/cropped")
    assert [path.name for path in raw.iterdir()] == [archives.PROVENANCE]
    (lying,) = archives.list_archives(raw)
    (copied := tmp_path / name).write_bytes(content)
    assert list(archives.members(lying)) == list(archives.members(copied))
    assert len(list(archives.members(lying))) == 901
    parse_labels.main("utkface")
    assert len(Path("data/records/utkface.csv").read_text().splitlines()) == 902
    with fsspec.open(address, "wb") as file:
        file.write(content[:-1])
    with pytest.raises(ArchiveError, match=f"has {len(content) - 1} bytes, before it had {len(content)}: `make fetch`"):
        archives.list_archives(raw)
    fsspec.open(address).fs.rm(fsspec.open(address).path)
    with pytest.raises(ArchiveError, match="no longer exists"):
        archives.list_archives(raw)


def test_a_mirror_without_the_archive_is_reported(project, edit, mirror):
    with pytest.raises(ArchiveError, match=r"UTKFace\.tar\.gz: does not exist"):
        from_mirror(edit, mirror)


def test_the_plan_gives_size_free_space_time_and_licence():
    wanted = datasets.archives(utkface, "cropped")
    line = downloads.plan(wanted, "official", utkface.LICENCE)
    assert line.startswith("UTKFace.tar.gz from official: about 0.11 GB (")
    assert "non-commercial research only" in line


def test_an_archive_without_an_address_is_reported():
    with pytest.raises(ArchiveError, match="no address is known"):
        downloads.download(Archive("x.tar"), "official", None)
