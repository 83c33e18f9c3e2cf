import gzip
import io
import os
import stat
import tarfile
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archive_server import noise, tarred, tiny_files, zipped
from soundfold.data.fetch.archive import unpack
from soundfold.errors import DownloadError

FILES = tiny_files(clips=3, clip_bytes=5000)


def unpacked(tmp_path, packed: bytes, top_folder=None, most_bytes=1_000_000, most_members=100, **more):
    """Unpack in a folder of its own, and return name → bytes of what lies there afterwards."""
    archive, folder = tmp_path / "set.bin", tmp_path / "inner" / "set"
    folder.parent.mkdir(exist_ok=True)
    archive.write_bytes(packed)
    unpack(archive, folder, most_bytes=most_bytes, most_members=most_members, top_folder=top_folder, **more)
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def everything(tmp_path) -> list[str]:
    return sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*"))


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info


def zip_of(*names: str, mode: int = 0, content: bytes = b"x") -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in names:
            info = zipfile.ZipInfo("placeholder")
            info.filename = info.orig_filename = name
            info.external_attr = mode << 16
            archive.writestr(info, content)
    return packed.getvalue()


@pytest.mark.parametrize("pack", [tarred, zipped])
@pytest.mark.parametrize("top", [None, "Tiny-master"])
def test_round_trip(tmp_path, pack, top):
    assert unpacked(tmp_path, pack(FILES, "" if top is None else f"{top}/"), top) == FILES


@pytest.mark.parametrize("pack", [tarred, zipped])
def test_names_that_begin_with_a_dot_and_slash_are_plain(tmp_path, pack):
    assert unpacked(tmp_path, pack(FILES, "./")) == FILES


@pytest.mark.parametrize("pack", [tarred, zipped])
def test_what_lies_beside_the_top_folder_is_left_out(tmp_path, pack):
    packed = pack({"Tiny/a.wav": b"a", "._Tiny": b"b", "Other/c.wav": b"c"}, "")
    assert unpacked(tmp_path, packed, "Tiny") == {"a.wav": b"a"}


def test_folders_in_the_archive_are_no_files(tmp_path):
    packed = tarred({"a/b.wav": b"b"}, "./", (member("./", tarfile.DIRTYPE), member("a/", tarfile.DIRTYPE)))
    assert unpacked(tmp_path, packed) == {"a/b.wav": b"b"}


def test_modes_and_owners_of_the_archive_are_left_out(tmp_path):
    info = member("tool")
    info.mode, info.uid = 0o6777, 12345
    unpacked(tmp_path, tarred({}, "", (info,)))
    found = (tmp_path / "inner/set/tool").stat()
    assert not found.st_mode & (stat.S_ISUID | stat.S_ISGID | 0o111)
    assert found.st_uid == os.getuid()


@pytest.mark.parametrize(
    ("info", "why"),
    [
        (member("../out.wav"), "leads out of the folder"),
        (member("a/../../out.wav"), "leads out of the folder"),
        (member("a/.."), "leads out of the folder"),
        (member("/tmp/out.wav"), "is absolute"),
        (member("//server/out.wav"), "is absolute"),
        (member("C:/out.wav"), "is absolute"),
        (member("c:out.wav"), "is absolute"),
        (member("..\\out.wav"), "holds a backslash"),
        (member("a\\b.wav"), "holds a backslash"),
        (member("../", tarfile.DIRTYPE), "leads out of the folder"),
        (member("way", tarfile.SYMTYPE, "../.."), "it is a link to '../..'"),
        (member("way", tarfile.SYMTYPE, "/etc/passwd"), "it is a link to '/etc/passwd'"),
        (member("way", tarfile.SYMTYPE, "README.md"), "it is a link to 'README.md'"),
        (member("way", tarfile.LNKTYPE, "../../set.bin"), "it is a hard link to '../../set.bin'"),
        (member("null", tarfile.CHRTYPE), "it is a device or a pipe"),
        (member("disk", tarfile.BLKTYPE), "it is a device or a pipe"),
        (member("pipe", tarfile.FIFOTYPE), "it is a device or a pipe"),
    ],
)
def test_a_hostile_tar_member_is_named_and_nothing_stays(tmp_path, info, why):
    with pytest.raises(DownloadError) as caught:
        unpacked(tmp_path, tarred(FILES, "", (info,)))
    assert str(caught.value).startswith("set.bin: its member ")
    assert repr(info.name.rstrip("/")) in str(caught.value).replace("/'", "'")
    assert why in str(caught.value)
    assert everything(tmp_path) == ["inner", "set.bin"]


@pytest.mark.parametrize(
    ("name", "mode", "why"),
    [
        ("../out.wav", 0, "leads out"),
        ("a/../../out.wav", 0, "leads out"),
        ("/tmp/out.wav", 0, "is absolute"),
        ("C:/out.wav", 0, "is absolute"),
        ("..\\..\\out.wav", 0, "holds a backslash"),
        ("C:\\out.wav", 0, "holds a backslash"),
        ("audio\\1.wav", 0, "holds a backslash"),
        ("way", stat.S_IFLNK | 0o777, "a link or a device"),
        ("null", stat.S_IFCHR | 0o666, "a link or a device"),
    ],
)
def test_a_hostile_zip_member_is_named_and_nothing_stays(tmp_path, name, mode, why):
    with pytest.raises(DownloadError) as caught:
        unpacked(tmp_path, zip_of("good.wav", name, mode=mode))
    assert why in str(caught.value)
    assert everything(tmp_path) == ["inner", "set.bin"]


def test_a_nul_in_a_zip_name_is_refused(tmp_path):
    packed = zip_of("good.wav_evil.sh").replace(b"good.wav_evil.sh", b"good.wav\0evil.sh")
    with pytest.raises(DownloadError, match=r"'good\.wav\\x00evil\.sh' is refused, because its name holds a NUL"):
        unpacked(tmp_path, packed)


def test_an_encrypted_zip_is_refused(tmp_path):
    packed = bytearray(zip_of("a.wav"))
    packed[packed.index(b"PK\1\2") + 8] |= 1
    with pytest.raises(DownloadError, match="it is encrypted"):
        unpacked(tmp_path, bytes(packed))


def test_a_file_in_place_of_the_top_folder_is_refused(tmp_path):
    with pytest.raises(DownloadError, match="it is a file where a folder should be"):
        unpacked(tmp_path, tarred({"Tiny": b"x"}, ""), "Tiny")


@pytest.mark.parametrize("pack", [tarred, zipped])
@pytest.mark.parametrize("bounds", [{"most_bytes": 14_999}, {"most_members": 4}])
def test_more_than_the_bounds_is_refused(tmp_path, pack, bounds):
    with pytest.raises(DownloadError, match="must hold at most"):
        unpacked(tmp_path, pack(FILES), **bounds)
    assert everything(tmp_path) == ["inner", "set.bin"]


@pytest.mark.parametrize("pack", [tarred, zipped])
def test_a_bomb_is_refused_before_it_is_written(tmp_path, pack, monkeypatch):
    written = []
    monkeypatch.setattr("shutil.copyfileobj", lambda *args: written.append(args))
    with pytest.raises(DownloadError, match=r"at most 100 members and 1,000,000 bytes, got more\. It is not the pub"):
        unpacked(tmp_path, pack({"zeros": bytes(5_000_000)}))
    assert not written


def test_a_tar_header_of_gigabytes_is_not_read_into_memory(tmp_path):
    header = member("././@LongLink", tarfile.GNUTYPE_LONGNAME, size=8 << 30).tobuf(tarfile.GNU_FORMAT)
    with pytest.raises(DownloadError, match="is damaged"):
        unpacked(tmp_path, gzip.compress(header + bytes(100_000)))


@pytest.mark.parametrize("pack", [tarred, zipped])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_truncated_archive_is_damaged_and_nothing_stays(tmp_path, pack, share):
    packed = pack(FILES)
    with pytest.raises(DownloadError, match=r"set\.bin: is damaged \(.*\)\. Run the same command again"):
        unpacked(tmp_path, packed[: int(len(packed) * share)])
    assert everything(tmp_path) == ["inner", "set.bin"]


def test_a_damaged_zip_member_is_found(tmp_path):
    packed = bytearray(zip_of("a.wav", content=b"0123456789" * 10))
    packed[packed.index(b"0123456789") + 5] ^= 1
    with pytest.raises(DownloadError, match="is damaged"):
        unpacked(tmp_path, bytes(packed))


@pytest.mark.parametrize("pack", [tarred, zipped])
@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b", "a"), ("n" * 300,)])
def test_names_that_no_disk_takes_are_damage(tmp_path, pack, names):
    with pytest.raises(DownloadError, match="is damaged"):
        unpacked(tmp_path, pack(dict.fromkeys(names, b"x"), ""))
    assert everything(tmp_path) == ["inner", "set.bin"]


@pytest.mark.parametrize("content", [b"", b"<html>Please log in</html>", noise(1000, 3)])
def test_a_page_in_place_of_an_archive_is_told(tmp_path, content):
    with pytest.raises(DownloadError, match=r"must be a zip or tar\.gz archive, begins with b.*login page"):
        unpacked(tmp_path, content)


def test_progress_goes_up_to_the_archives_length(tmp_path):
    told = []
    packed = tarred(FILES)
    unpacked(tmp_path, packed, on_progress=lambda *said: told.append(said))
    assert [said[0] for said in told] == ["unpacking"] * len(FILES)
    assert [said[1] for said in told] == sorted(said[1] for said in told)
    assert told[-1][1] <= told[-1][2] == len(packed)


def test_ctrl_c_leaves_nothing(tmp_path):
    def stop(phase, done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unpacked(tmp_path, tarred(FILES), on_progress=stop)
    assert everything(tmp_path) == ["inner", "set.bin"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pack=st.sampled_from(["tar", "zip"]),
    flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), min_size=1),
)
def test_a_flipped_byte_ends_in_a_download_error_or_in_files_inside(tmp_path_factory, pack, flips):
    tmp_path = tmp_path_factory.mktemp("flips")
    files = {"audio/a.wav": b"a" * 50, "meta/b.csv": b"b" * 20}
    plain = bytearray(zipped(files) if pack == "zip" else gzip.decompress(tarred(files)))
    for place, change in flips:
        plain[place % len(plain)] ^= change
    try:
        unpacked(tmp_path, bytes(plain) if pack == "zip" else gzip.compress(plain, 1))
    except DownloadError:
        assert everything(tmp_path) == ["inner", "set.bin"]
    else:
        assert all(name.startswith(("inner", "set.bin")) for name in everything(tmp_path))
