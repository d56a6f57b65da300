"""Logs and outputs come from the bucket to this machine: only what is new, whole or not at all, and never beside their directory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawn.domain.errors import ProviderUnavailable
from spawn.providers.ec2.downloads import local_path
from spawn.providers.ec2.fetching import Fetcher
from spawn.testing.ec2lab.lab import Lab
from spawn.testing.ec2lab.plan import Fault, FaultKind
from tests.providers.ec2.buckets import ArrayBucket, Files, cloud_job


@pytest.fixture
def bucket(lab: Lab) -> Iterator[ArrayBucket]:
    bucket = ArrayBucket(lab, cloud_job(lab))
    yield bucket
    bucket.unhook()


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(root=tmp_path / "arrays")


@pytest.fixture
def fetcher(bucket: ArrayBucket, files: Files) -> Fetcher:
    return Fetcher(bucket.clients, files)


def parts(bucket: ArrayBucket, *contents: bytes, at: int = 0) -> int:
    for content in contents:
        bucket.put(f"1/1/log/{at:016d}", content)
        at += len(content)
    return at


def gets(lab: Lab) -> list[str]:
    return [call.resource.partition("/output/")[2] or call.resource.rpartition("/")[2] for call in lab.calls.of("GetObject")]


# --- logs -------------------------------------------------------------------------------------------------------------


def test_the_log_is_all_parts_in_order(bucket: ArrayBucket, fetcher: Fetcher, files: Files) -> None:
    parts(bucket, b"one\n", b"two\n", b"three\n")
    fetcher.fetch_log(bucket.job, 1, 1)
    assert files.log(bucket.job, 1, 1).read_bytes() == b"one\ntwo\nthree\n"


def test_a_log_that_is_not_there_yet_is_an_empty_file(bucket: ArrayBucket, fetcher: Fetcher, files: Files) -> None:
    fetcher.fetch_log(bucket.job, 1, 1)
    assert files.log(bucket.job, 1, 1).read_bytes() == b""


def test_only_what_is_new_of_a_log_is_read_again(lab: Lab, bucket: ArrayBucket, fetcher: Fetcher, files: Files) -> None:
    end = parts(bucket, b"one\n", b"two\n")
    fetcher.fetch_log(bucket.job, 1, 1)
    lab.calls.clear()
    parts(bucket, b"three\n", at=end)
    fetcher.fetch_log(bucket.job, 1, 1)
    fetcher.fetch_log(bucket.job, 1, 1)
    assert gets(lab) == [f"{end:016d}"]
    assert files.log(bucket.job, 1, 1).read_bytes() == b"one\ntwo\nthree\n"


@pytest.mark.parametrize("kept", range(15))
def test_a_log_that_was_cut_off_while_it_was_written_is_made_whole(bucket: ArrayBucket, files: Files, kept: int) -> None:
    whole = b"one\ntwo\nthree\n"
    parts(bucket, b"one\n", b"two\n", b"three\n")
    path = files.log(bucket.job, 1, 1)
    path.parent.mkdir(parents=True)
    path.write_bytes(whole[:kept])
    Fetcher(bucket.clients, files).fetch_log(bucket.job, 1, 1)
    assert path.read_bytes() == whole


def test_what_follows_a_part_that_is_still_to_come_waits_for_it(bucket: ArrayBucket, fetcher: Fetcher, files: Files) -> None:
    parts(bucket, b"one\n")
    parts(bucket, b"three\n", at=8)
    fetcher.fetch_log(bucket.job, 1, 1)
    assert files.log(bucket.job, 1, 1).read_bytes() == b"one\n"
    parts(bucket, b"two\n", at=4)
    fetcher.fetch_log(bucket.job, 1, 1)
    assert files.log(bucket.job, 1, 1).read_bytes() == b"one\ntwo\nthree\n"


def test_several_who_bring_one_log_at_once_write_it_once(bucket: ArrayBucket, fetcher: Fetcher, files: Files) -> None:
    parts(bucket, *(f"line {number}\n".encode() for number in range(40)))
    threads = [threading.Thread(target=fetcher.fetch_log, args=(bucket.job, 1, 1)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert files.log(bucket.job, 1, 1).read_text() == "".join(f"line {number}\n" for number in range(40))


def test_more_parts_than_a_page_of_a_listing_are_all_brought(lab: Lab, bucket: ArrayBucket, fetcher: Fetcher, files: Files) -> None:
    bucket.hook("provide-client-params.s3.ListObjectsV2", lambda params, **_: params | {"MaxKeys": 7})
    parts(bucket, *(b"%02d\n" % number for number in range(30)))
    fetcher.fetch_log(bucket.job, 1, 1)
    assert files.log(bucket.job, 1, 1).read_bytes() == b"".join(b"%02d\n" % number for number in range(30))
    assert lab.calls.count("ListObjectsV2") >= 5


# --- outputs ----------------------------------------------------------------------------------------------------------


def test_outputs_come_to_their_directories_with_the_time_they_have_in_the_bucket(bucket: ArrayBucket, fetcher: Fetcher, files: Files) -> None:
    bucket.put("0/1/output/result.txt", b"0")
    bucket.put("2/3/output/deep/er/result.txt", b"two")
    assert fetcher.fetch_outputs(bucket.job, [(0, 1), (2, 3)]) == {}
    root = files.output(bucket.job, 2, 3)
    assert (root / "deep/er/result.txt").read_bytes() == b"two"
    modified = bucket.s3.head_object(Bucket=bucket.bucket, Key=f"arrays/{bucket.job.id}/2/3/output/deep/er/result.txt")["LastModified"]
    assert (root / "deep/er/result.txt").stat().st_mtime == modified.timestamp()
    assert (files.output(bucket.job, 0, 1) / "result.txt").read_bytes() == b"0"
    assert {path.name for path in root.parent.iterdir()} == {"0-1.out", "2-3.out"}


def test_an_attempt_without_outputs_has_an_empty_directory(bucket: ArrayBucket, fetcher: Fetcher, files: Files) -> None:
    assert fetcher.fetch_outputs(bucket.job, [(0, 1)]) == {}
    assert list(files.output(bucket.job, 0, 1).iterdir()) == []


def test_what_is_here_already_is_not_brought_again(lab: Lab, bucket: ArrayBucket, fetcher: Fetcher, files: Files) -> None:
    for number in range(5):
        bucket.put(f"0/1/output/{number}", b"x" * number)
    fetcher.fetch_outputs(bucket.job, [(0, 1)])
    lab.calls.clear()
    (files.output(bucket.job, 0, 1) / "3").unlink()
    (files.output(bucket.job, 0, 1) / "4").write_bytes(b"yyyy")
    fetcher.fetch_outputs(bucket.job, [(0, 1)])
    assert sorted(gets(lab)) == ["3", "4"]
    assert (files.output(bucket.job, 0, 1) / "4").read_bytes() == b"xxxx"


def test_one_file_that_cannot_be_read_spoils_no_other(lab: Lab, bucket: ArrayBucket, fetcher: Fetcher, files: Files) -> None:
    for index in range(3):
        bucket.put(f"{index}/1/output/result", b"good")
    lab.add_fault(Fault(kind=FaultKind.DENIED, service="s3", action="GetObject", key="*/1/1/output/result"))
    failed = fetcher.fetch_outputs(bucket.job, [(0, 1), (1, 1), (2, 1)])
    assert set(failed) == {1}
    assert f"arrays/{bucket.job.id}/1/1/output/result" in failed[1]
    assert [(files.output(bucket.job, index, 1) / "result").is_file() for index in range(3)] == [True, False, True]


def test_when_aws_does_not_say_what_there_is_nothing_is_said_of_single_outputs(bucket: ArrayBucket, fetcher: Fetcher) -> None:
    def silent(**_: object) -> None:
        raise ProviderUnavailable("AWS did not answer")

    bucket.hook("before-send.s3.ListObjectsV2", silent)
    with pytest.raises(ProviderUnavailable, match="AWS did not answer"):
        fetcher.fetch_outputs(bucket.job, [(0, 1), (1, 1)])


def test_a_download_whose_connection_breaks_off_is_made_whole(lab: Lab, bucket: ArrayBucket, fetcher: Fetcher, files: Files) -> None:
    bucket.put("0/1/output/result", b"all of it")
    lab.add_fault(Fault(kind=FaultKind.DROPPED, service="s3", action="GetObject", times=1))
    assert fetcher.fetch_outputs(bucket.job, [(0, 1)]) == {}
    assert (files.output(bucket.job, 0, 1) / "result").read_bytes() == b"all of it"


def test_what_came_before_a_cut_is_not_read_again_and_never_looks_whole(bucket: ArrayBucket, fetcher: Fetcher, files: Files) -> None:
    bucket.put("0/1/output/big", b"0123456789")
    ranges: list[str | None] = []
    bucket.hook("provide-client-params.s3.GetObject", lambda params, **_: ranges.append(params.get("Range")))
    bucket.hook("before-send.s3.GetObject", lambda **_: (_ for _ in ()).throw(KeyboardInterrupt) if len(ranges) == 1 else None)
    root = files.output(bucket.job, 0, 1)
    parts_directory = root.with_name("0-1.out.part")
    with pytest.raises(KeyboardInterrupt):
        fetcher.fetch_outputs(bucket.job, [(0, 1)])
    (begun,) = parts_directory.iterdir()
    begun.write_bytes(b"01234")
    assert not (root / "big").exists()
    assert fetcher.fetch_outputs(bucket.job, [(0, 1)]) == {}
    assert (root / "big").read_bytes() == b"0123456789"
    assert ranges == [None, "bytes=5-"]
    assert not parts_directory.exists()


def test_odd_names_are_kept_and_impossible_ones_are_left_in_the_bucket_and_said(bucket: ArrayBucket, fetcher: Fetcher, files: Files) -> None:
    bucket.put("0/1/output/" + "long" * 64, b"bad")
    for name in ("a b", "ümläut", "-rf", "*", "a/b", "quote'\""):
        bucket.put(f"0/1/output/{name}", name.encode())
    failed = fetcher.fetch_outputs(bucket.job, [(0, 1)])
    root = files.output(bucket.job, 0, 1)
    assert set(failed) == {0}
    assert "has a name that no file below" in failed[0]
    assert {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()} == {"a b", "ümläut", "-rf", "*", "a/b", "quote'\""}


def test_a_link_out_of_the_directory_is_not_followed(bucket: ArrayBucket, fetcher: Fetcher, files: Files, tmp_path: Path) -> None:
    bucket.put("0/1/output/sub/file", b"bad")
    (tmp_path / "outside").mkdir()
    root = files.output(bucket.job, 0, 1)
    root.mkdir(parents=True)
    (root / "sub").symlink_to(tmp_path / "outside")
    assert "by a link" in fetcher.fetch_outputs(bucket.job, [(0, 1)])[0]
    assert list((tmp_path / "outside").iterdir()) == []


def test_more_outputs_than_a_page_of_a_listing_are_all_brought(bucket: ArrayBucket, fetcher: Fetcher, files: Files) -> None:
    bucket.hook("provide-client-params.s3.ListObjectsV2", lambda params, **_: params | {"MaxKeys": 7})
    for number in range(30):
        bucket.put(f"0/1/output/{number}", b"x")
    assert fetcher.fetch_outputs(bucket.job, [(0, 1)]) == {}
    assert len(list(files.output(bucket.job, 0, 1).iterdir())) == 30


def test_several_who_bring_the_same_outputs_at_once_leave_them_whole(bucket: ArrayBucket, fetcher: Fetcher, files: Files) -> None:
    for index in range(3):
        bucket.put(f"{index}/1/output/result", bytes([index]) * 100_000)
    threads = [threading.Thread(target=fetcher.fetch_outputs, args=(bucket.job, [(2, 1), (0, 1), (1, 1)])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(files.output(bucket.job, index, 1) / "result").read_bytes() for index in range(3)] == [bytes([index]) * 100_000 for index in range(3)]


@pytest.mark.parametrize("name", ["..", "../x", "a/../../x", "/x", "a//x", "./x", "a/.", "x\0y", "long" * 64])
def test_a_name_that_no_file_below_the_directory_can_have_has_no_place(name: str) -> None:
    assert local_path(Path("/here"), name) is None


@given(st.text())
def test_no_name_leads_out_of_its_directory(name: str) -> None:
    root = Path("/here/and/there")
    found = local_path(root, name)
    assert found is None or found == root or (root in found.parents and ".." not in found.parts)
