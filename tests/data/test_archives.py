"""Members of archives: what is skipped, what is damaged, and how much memory it takes."""

import gzip
import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from faces.data import archives
from faces.data.archives import ArchiveError
from tests.conftest import tar, zipped


@pytest.mark.parametrize("end", [".tar", ".tar.gz", ".zip"])
def test_members_that_are_not_regular_files_are_skipped_with_a_reason(tmp_path, end):
    path, skipped = tmp_path / f"a{end}", []
    if end == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name in ("a.jpg", "../b.jpg", "/c.jpg"):
                archive.writestr(name, name)
            link = zipfile.ZipInfo("d.jpg")
            link.external_attr = 0xA1FF << 16
            archive.writestr(link, "/etc/passwd")
    else:
        with tarfile.open(path, "w:gz" if end == ".tar.gz" else "w") as archive:
            for name in ("a.jpg", "../b.jpg", "/c.jpg"):
                info = tarfile.TarInfo(name)
                info.size = len(name)
                archive.addfile(info, io.BytesIO(name.encode()))
            for name, kind in (("d.jpg", tarfile.SYMTYPE), ("e.jpg", tarfile.LNKTYPE), ("f.jpg", tarfile.CHRTYPE)):
                info = tarfile.TarInfo(name)
                info.type, info.linkname = kind, "/etc/passwd"
                archive.addfile(info)
    members = dict(archives.members(path, lambda *why: skipped.append(why)))
    assert members == {"a.jpg": b"a.jpg"}
    out = "has a name that leads out of the archive"
    reasons = {"../b.jpg": out, "/c.jpg": out, "d.jpg": "is a link"}
    assert dict(skipped) == reasons | ({} if end == ".zip" else {"e.jpg": "is a link", "f.jpg": "is a device"})


def test_a_member_that_claims_to_be_huge_is_skipped(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_MEMBER_BYTES", 10)
    (tmp_path / "a.tar").write_bytes(tar(["big.jpg"], "w"))
    skipped = []
    assert list(archives.members(tmp_path / "a.tar", lambda *why: skipped.append(why))) == []
    assert skipped == [("big.jpg", "is too large (0.0 GB)")]


@pytest.mark.parametrize("end", ["tar", "tar.gz", "zip"])
def test_a_damaged_archive_is_reported(tmp_path, end):
    names = [f"{i}.jpg" for i in range(50)]
    content = zipped(names) if end == "zip" else tar(names, "w" if end == "tar" else "w:gz")
    path = tmp_path / f"a.{end}"
    middle, third = len(content) // 2, len(content) // 3
    hurt = content[:middle] + bytes(50) + content[middle + 50 :] if end == "zip" else content[:-third]
    path.write_bytes(hurt)
    with pytest.raises(ArchiveError, match=rf"a\.{end}: is damaged"):
        list(archives.members(path))


def test_a_tar_with_a_broken_header_or_without_its_end_is_not_read_in_part(tmp_path):
    """tarfile itself stops there, as at the end."""
    content = tar(["a.jpg", "b.jpg", "c.jpg"], "w")
    at = content.index(b"b.jpg")
    faults = {
        "bad checksum": content[:at] + b"B" + content[at + 1 :],
        "empty header": content[:at],
        "truncated header": content[: at + 100],
        "more after the mark of its end": content + tar(["d.jpg"], "w"),
    }
    for fault, broken in faults.items():
        (tmp_path / "a.tar").write_bytes(broken)
        with pytest.raises(ArchiveError, match=rf"a\.tar: is damaged \(.*{fault}"):
            list(archives.members(tmp_path / "a.tar"))


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_a_member_of_a_zip_that_is_larger_than_it_claims_is_not_decompressed_whole(tmp_path, method):
    import tracemalloc

    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", method) as archive, archive.open("a.jpg", "w") as member:
        for _ in range(160):
            member.write(bytes(1 << 20))
    content = bytearray(path.read_bytes())
    for mark, place in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        at = content.index(mark) + place
        content[at : at + 4] = (10).to_bytes(4, "little")
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(ArchiveError, match=r"is damaged \(Bad CRC-32"):
        list(archives.members(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 120 << 20


def test_many_members_are_read_in_constant_memory(tmp_path):
    """20,000 members take no more memory than 2,000: no member is kept."""
    import tracemalloc

    def peak(path):
        tracemalloc.start()
        count = sum(1 for _ in archives.members(path))
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return count, size

    peaks = []
    for count in (2_000, 20_000):
        path = tmp_path / f"{count}.tar"
        with tarfile.open(path, "w") as archive:
            for i in range(count):
                archive.addfile(tarfile.TarInfo(f"{i}.jpg"), io.BytesIO())
                archive.members.clear()
        passes = [peak(path) for _ in range(3)]  # Python's own table of names grows in one
        assert {members for members, _ in passes} == {count}
        peaks.append(min(size for _, size in passes))
    assert peaks[1] < 1.2 * peaks[0] + 100_000  # 5 bytes a member


def test_a_folder_with_an_archive_in_it_is_not_read_as_that_archive(tmp_path):
    """A zip at the end of a tar looks like a zip to programs that search for its end."""
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"a")
    (folder / "z.zip").write_bytes(zipped(["old.jpg"]))
    archives.pack_folder(folder, tmp_path / "photos.tar")
    assert [name for name, _ in archives.members(tmp_path / "photos.tar")] == ["a.jpg", "z.zip"]


def test_the_files_of_a_folder_may_be_behind_links_which_may_go_in_circles(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.jpg").write_bytes(b"a")
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "set").symlink_to(tmp_path / "elsewhere")
    (folder / "up").symlink_to(folder)
    archives.pack_folder(folder, tmp_path / "photos.tar")
    assert [name for name, _ in archives.members(tmp_path / "photos.tar")] == ["set/a.jpg"]
    (folder / "gone.jpg").symlink_to(tmp_path / "nothing")
    with pytest.raises(ArchiveError, match=r"gone.jpg: is a link that leads nowhere, one of 1"):
        archives.pack_folder(folder, tmp_path / "photos.tar")


def test_a_folder_that_is_also_behind_links_is_read_once_by_its_own_name(tmp_path):
    (tmp_path / "set/real/deep").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    for path in ("set/real/a.jpg", "set/real/deep/b.jpg", "other/c.jpg"):
        (tmp_path / path).write_bytes(b"1")
    links = (("set/alias", "real"), ("set/zoo", "real/deep"), ("set/m", "../other"), ("set/n", "../other"))
    for link, target in links:
        (tmp_path / link).symlink_to(target)
    archives.pack_folder(tmp_path / "set", tmp_path / "set.tar")
    names = [name for name, _ in archives.members(tmp_path / "set.tar")]
    assert names == ["m/c.jpg", "real/a.jpg", "real/deep/b.jpg"]


@pytest.mark.parametrize("path", ["locked", "a.jpg"])
def test_what_may_not_be_read_in_a_folder_is_named(tmp_path, monkeypatch, path):
    """A locked folder is not an empty one. Root may read all, so the test refuses in the place of the system."""
    (tmp_path / "set/locked").mkdir(parents=True)
    (tmp_path / "set/.trash").mkdir()
    (tmp_path / "set/a.jpg").write_bytes(b"1")
    scan, open_file = os.scandir, Path.open

    def refuse(function, place, *arguments):
        if Path(place).name in (path, ".trash"):
            raise PermissionError(13, "Permission denied", str(place))
        return function(place, *arguments)

    monkeypatch.setattr(os, "scandir", lambda place: refuse(scan, place))
    monkeypatch.setattr(Path, "open", lambda place, *arguments: refuse(open_file, place, *arguments))
    with pytest.raises(ArchiveError, match=rf"set/{path}: cannot be read \(Permission denied\): permit it, or move it"):
        archives.pack_folder(tmp_path / "set", tmp_path / "set.tar")


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("end", ["tgz", "TAR", "zip", "jpg"])
def test_what_an_archive_is_its_first_bytes_say(tmp_path, mode, end):
    path = tmp_path / f"lying.{end}"
    path.write_bytes(tar(["PK\3\4.jpg", "b.jpg"], mode))
    if mode != "w":  # the name of a tar's first member is at its start
        archives.check_archive(path)
        assert [name for name, _ in archives.members(path)] == ["b.jpg"]  # the other has control characters
    path.write_bytes(zipped(["a.jpg"]))
    archives.check_archive(path)
    assert [name for name, _ in archives.members(path)] == ["a.jpg"]


def edited(content, at, value):
    """A zip with one number of each member's two headers changed; at: its place in the first."""
    changed = bytearray(content)
    for mark, offset in ((b"PK\3\4", at), (b"PK\1\2", at + 2)):
        start = changed.find(mark)
        while start >= 0:
            changed[start + offset] = value
            start = changed.find(mark, start + 1)
    return bytes(changed)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (edited(zipped(["a.jpg"]), 8, 9), "a.jpg is compressed by Deflate64, which Python cannot read: unpack"),
        (edited(zipped(["a.jpg"]), 8, 98), "is compressed by method 98"),
        (edited(zipped(["a.jpg"]), 6, 1), "its member a.jpg is encrypted: unpack it"),
        (zipped(["a.jpg"])[:-30], "is damaged, or holds no tar"),
        (gzip.compress(b"age,sex\n30,0\n"), "is damaged, or holds no tar"),
        (b"Rar!\x1a\x07\x01\0", "is a RAR archive, which Python cannot read: unpack it, and name the folder"),
        (b"7z\xbc\xaf\x27\x1c", "is a 7z archive"),
        (b"<html><title>Sign &amp; in</title>", 'is not an archive but a web page \\("Sign & in"\\)'),
        (b"", "is not an archive but an empty file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is not an archive but a pointer of Git LFS.*`git lfs pull`"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named_with_its_remedy(tmp_path, content, fault):
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(ArchiveError, match=fault):
        archives.check_archive(tmp_path / "a.zip")


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "header"])
def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(archives, "LEAST_LIMIT", 4 << 20)
    zeros, path = bytes(8 << 20), tmp_path / f"a.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.jpg", zeros)
    elif kind == "tar.gz":
        with tarfile.open(path, "w:gz") as archive:
            info = tarfile.TarInfo("a.jpg")
            info.size = len(zeros)
            archive.addfile(info, io.BytesIO(zeros))
    else:  # a header that goes on for megabytes
        with tarfile.open(path, "w:gz", pax_headers={"comment": "0" * len(zeros)}) as archive:
            archive.addfile(tarfile.TarInfo("a.jpg"), io.BytesIO())
    fault = "has a header of more than 1 MiB" if kind == "header" else "holds more than 200 times its own size"
    with pytest.raises(ArchiveError, match=fault):
        list(archives.members(path))


def test_a_zip_is_unpacked_no_further_than_the_size_that_it_states(tmp_path):
    """64 MB behind a header that states 100 bytes."""
    import tracemalloc

    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jpg", bytes(64 << 20))
    content = bytearray(path.read_bytes())
    start = content.rfind(b"PK\1\2") + 24
    content[start : start + 4] = (100).to_bytes(4, "little")
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(ArchiveError, match="is damaged"):
        list(archives.members(path))
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("end", ["tar.gz", "zip"])
def test_an_archive_of_too_many_members_is_refused(tmp_path, monkeypatch, end):
    monkeypatch.setattr(archives, "MAX_MEMBERS", 3)
    names = [f"{i}.jpg" for i in range(4)]
    for count in (3, 4):
        path = tmp_path / f"{count}.{end}"
        path.write_bytes(zipped(names[:count]) if end == "zip" else tar(names[:count]))
    assert len(list(archives.members(tmp_path / f"3.{end}"))) == 3
    with pytest.raises(ArchiveError, match=rf"4\.{end}: has more than 3 members: divide it"):
        list(archives.members(tmp_path / f"4.{end}"))


def test_a_zip_with_an_absurdly_long_list_of_members_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_DIRECTORY", 100)
    (tmp_path / "a.zip").write_bytes(zipped(["a.jpg", "b.jpg"]))
    for read in (archives.check_archive, lambda path: list(archives.members(path))):
        with pytest.raises(ArchiveError, match="lists its members in"):
            read(tmp_path / "a.zip")


def test_a_sparse_member_whose_size_is_only_claimed_is_refused(tmp_path):
    """512 bytes claim 250 MB of zeros."""
    header = bytearray(tarfile.TarInfo("a.jpg").tobuf(tarfile.GNU_FORMAT))
    header[156:157] = tarfile.GNUTYPE_SPARSE
    header[386:410] = b"%011o\0%011o\0" % (250 << 20, 0)
    header[483:495] = b"%011o\0" % (250 << 20)
    header[148:156] = b"        "
    header[148:156] = b"%06o\0 " % sum(header)
    (tmp_path / "a.tar").write_bytes(bytes(header) + bytes(1024))
    with pytest.raises(ArchiveError, match=r"its member a\.jpg is sparse, which is not read: unpack it"):
        list(archives.members(tmp_path / "a.tar"))


@pytest.mark.parametrize("name", ["C:\\a.jpg", "c:/a.jpg", "a\\..\\..\\b.jpg", "\\\\host\\a.jpg", "a/../b.jpg"])
@pytest.mark.parametrize("end", ["tar", "zip"])
def test_names_that_lead_out_on_any_system_are_skipped(tmp_path, name, end):
    path, skipped = tmp_path / f"a.{end}", []
    path.write_bytes(zipped([name]) if end == "zip" else tar([name], "w"))
    assert list(archives.members(path, lambda *why: skipped.append(why))) == []
    assert skipped == [(name, "has a name that leads out of the archive")]


def test_names_with_control_characters_are_skipped(tmp_path):
    """They end a line of a table, end a name in C, or colour a terminal."""
    names = ["a\nb.jpg", "a\rb.jpg", "\x1b[31m.jpg", "a\0b.jpg"]
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        for name in names:
            info = tarfile.TarInfo("plain.jpg")
            info.pax_headers = {"path": name}
            archive.addfile(info)
    skipped = []
    assert list(archives.members(tmp_path / "a.tar", lambda *why: skipped.append(why))) == []
    assert skipped == [(name, "has a name with control characters") for name in names]


def test_a_device_in_a_zip_is_skipped(tmp_path):
    device, skipped = zipfile.ZipInfo("a.jpg"), []
    device.external_attr = 0x2180 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(device, "")
    assert list(archives.members(tmp_path / "a.zip", lambda *why: skipped.append(why))) == []
    assert skipped == [("a.jpg", "is a device")]


def test_a_folder_with_devices_and_pipes_is_packed_without_them(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"a")
    (folder / "endless.jpg").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.jpg")
    archives.pack_folder(folder, tmp_path / "photos.tar")
    assert [name for name, _ in archives.members(tmp_path / "photos.tar")] == ["a.jpg"]


def test_an_archive_in_an_archive_is_a_file_like_others(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("b.zip", zipped(["c.jpg"]))
    assert [name for name, _ in archives.members(tmp_path / "a.zip")] == ["b.zip"]


def test_names_of_no_encoding_are_text_that_can_be_written(tmp_path):
    """Old zips and disks keep names as bytes of an unknown encoding."""
    chinese = "照片".encode("gb18030")
    content = zipped(["ab12.jpg"]).replace(b"ab12", chinese)
    (tmp_path / "a.zip").write_bytes(content)
    info = tarfile.TarInfo(chinese.decode("utf-8", "surrogateescape") + ".jpg")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(info, io.BytesIO())
    (tmp_path / "mac.zip").write_bytes(zipped(["abcdef.jpg"]).replace(b"abcdef", "照片".encode()))
    names = {path.name: next(archives.members(path))[0] for path in tmp_path.iterdir()}
    assert names["a.zip"] == names["a.tar"]
    assert names["a.zip"].encode() and names["mac.zip"] == "照片.jpg"
