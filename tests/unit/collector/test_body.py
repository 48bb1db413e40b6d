"""Bodies: within their limits, and decompressed exactly or not at all."""

import gzip

import pyarrow as pa
import pytest

from headrace.collector.body import encoding_of, length_of, plain
from headrace.config.collector import CollectorSpec
from headrace.http.problems import Refused

LIMITS = CollectorSpec(max_body_bytes=1_000_000)
PACK = {"gzip": gzip.compress, "zstd": lambda data: pa.Codec("zstd").compress(data, asbytes=True)}


@pytest.mark.parametrize("encoding", PACK)
def test_every_cut_is_noticed(encoding):
    data = b'{"id": "a"}\n' * 2_000
    packed = PACK[encoding](data)
    assert plain(packed, encoding, LIMITS) == data
    assert plain(packed + packed, encoding, LIMITS) == data + data
    for cut in range(1, len(packed)):
        with pytest.raises(Refused) as refused:
            plain(packed[:cut], encoding, LIMITS)
        assert refused.value.reason == "damaged_body"
    with pytest.raises(Refused):
        plain(packed + b"more", encoding, LIMITS)


@pytest.mark.parametrize("encoding", PACK)
def test_the_limit_is_of_what_it_unpacks_to(encoding):
    assert len(plain(PACK[encoding](b" " * 1_000_000), encoding, LIMITS)) == 1_000_000
    for size in (1_000_001, 400_000_000):
        with pytest.raises(Refused) as refused:
            plain(PACK[encoding](b" " * size), encoding, LIMITS)
        assert (refused.value.status, refused.value.reason) == (413, "body_too_large")


def test_a_wrong_checksum_is_noticed():
    packed = bytearray(gzip.compress(b'{"id": "a"}'))
    packed[-6] ^= 1
    with pytest.raises(Refused) as refused:
        plain(bytes(packed), "gzip", LIMITS)
    assert refused.value.reason == "damaged_body"


def test_very_many_members_are_one_body():
    assert plain(gzip.compress(b"{}\n") * 100_000, "gzip", LIMITS) == b"{}\n" * 100_000


def test_headers_are_read_with_care():
    assert [encoding_of(each) for each in (None, "", "identity", " GZIP ", "x-gzip", "zstd")] == [
        "", "", "", "gzip", "gzip", "zstd",
    ]  # fmt: skip
    for each in ("br", "deflate", "gzip, gzip", "gzip;q=1"):
        with pytest.raises(Refused):
            encoding_of(each)
    assert [length_of(each, LIMITS) for each in (None, "7", "+7", "٧")] == [None, 7, None, None]
    with pytest.raises(Refused):
        length_of("1000001", LIMITS)
