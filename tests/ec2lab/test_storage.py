"""S3 as the laboratory answers it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spawn.testing.ec2lab.listings import list_objects
from tests.ec2lab.asking import Asking, refused


@pytest.fixture(scope="module")
def bucket(shared: Asking) -> str:
    return shared.bucket()


def test_an_object_is_written_once_by_those_who_ask_for_it(shared: Asking, bucket: str) -> None:
    shared.s3.put_object(Bucket=bucket, Key="claim.json", Body=b"mine", IfNoneMatch="*")
    with refused("PreconditionFailed"):
        shared.s3.put_object(Bucket=bucket, Key="claim.json", Body=b"theirs", IfNoneMatch="*")
    assert shared.s3.get_object(Bucket=bucket, Key="claim.json")["Body"].read() == b"mine"


def test_a_head_tells_the_length_without_the_body(shared: Asking, bucket: str) -> None:
    shared.s3.put_object(Bucket=bucket, Key="ten", Body=b"0123456789")
    assert shared.s3.head_object(Bucket=bucket, Key="ten")["ContentLength"] == 10
    assert shared.s3.get_object(Bucket=bucket, Key="ten", Range="bytes=2-4")["Body"].read() == b"234"


def test_a_big_object_arrives_in_parts(shared: Asking, bucket: str) -> None:
    upload = shared.s3.create_multipart_upload(Bucket=bucket, Key="big")["UploadId"]
    parts = [
        {"PartNumber": number, "ETag": shared.s3.upload_part(Bucket=bucket, Key="big", UploadId=upload, PartNumber=number, Body=body)["ETag"]}
        for number, body in ((1, b"a" * (5 << 20)), (2, b"b"))
    ]
    shared.s3.complete_multipart_upload(Bucket=bucket, Key="big", UploadId=upload, MultipartUpload={"Parts": parts})
    assert shared.s3.head_object(Bucket=bucket, Key="big")["ContentLength"] == (5 << 20) + 1


def test_a_listing_comes_in_pages_and_in_order(shared: Asking, bucket: str) -> None:
    keys = [f"news/{number}-1-ended" for number in range(25)]
    for key in keys:
        shared.s3.put_object(Bucket=bucket, Key=key, Body=b"")
    first = shared.s3.list_objects_v2(Bucket=bucket, Prefix="news/", MaxKeys=20)
    rest = shared.s3.list_objects_v2(Bucket=bucket, Prefix="news/", MaxKeys=20, ContinuationToken=first["NextContinuationToken"])
    assert (first["KeyCount"], first["IsTruncated"], rest["KeyCount"], rest["IsTruncated"]) == (20, True, 5, False)
    assert [each["Key"] for page in (first, rest) for each in page["Contents"]] == sorted(keys)
    answer = shared.s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys[:20]]})
    assert len(answer["Deleted"]) == 20
    assert shared.s3.list_objects_v2(Bucket=bucket, Prefix="news/")["KeyCount"] == 5


def test_a_bucket_that_there_is_not_is_named(shared: Asking) -> None:
    with refused("NoSuchBucket"):
        shared.s3.list_objects_v2(Bucket="nothing-here")


def test_a_page_has_at_most_a_thousand_keys() -> None:
    page = list_objects("b", {f"{number:04}": Kept() for number in range(1001)}, {"max-keys": "2000"}).body
    assert (page.count(b"<Key>"), b"<NextContinuationToken>" in page) == (1000, True)


class Kept:
    """An object as moto has it, as far as a listing shows it."""

    def __init__(self) -> None:
        from datetime import UTC, datetime

        self.last_modified, self.etag, self.size = datetime(2026, 1, 1, tzinfo=UTC), '"e"', 1


@settings(max_examples=60)
@given(keys=st.sets(st.text(alphabet="ab/é", min_size=1, max_size=6), max_size=20), size=st.integers(1, 7), delimiter=st.sampled_from(["", "/"]))
def test_pages_put_together_are_the_whole(keys: set[str], size: int, delimiter: str) -> None:
    import base64
    import re

    found, token = list[str](), None
    for _ in range(len(keys) + 2):
        asked = {"delimiter": delimiter, "max-keys": str(size)} | ({"continuation-token": token} if token else {})
        text = list_objects("b", {key: Kept() for key in keys}, asked).body.decode()
        page = re.findall(r"<Key>(.*?)</Key>", text) + re.findall(r"<CommonPrefixes><Prefix>(.*?)</Prefix>", text)
        assert len(page) <= size
        found += page
        more = re.search(r"<NextContinuationToken>(.*?)<", text)
        if more is None:
            break
        token = more[1]
        base64.b64decode(token, validate=True)
    folders = {key[: key.index("/") + 1] for key in keys if delimiter and "/" in key}
    assert sorted(found) == sorted(folders | {key for key in keys if not delimiter or "/" not in key})
