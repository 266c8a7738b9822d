"""Members of archives: what is skipped, what is damaged, and how much memory it takes."""

import io
import tarfile
import zipfile

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
