"""A certificate holds while later batches explain all that has changed, and no byte of it can be changed."""

import json
import os
import random
import shutil
from dataclasses import replace

import pytest

from headrace.config.project import load_project
from headrace.errors import InputError, UserError
from headrace.identity.project_key import project_key, signed
from headrace.lake.catalog import CATALOG, DATA, attach_statement, connect
from headrace.runtime import certificate
from headrace.runtime.certificate_check import check
from headrace.runtime.deployment import now
from headrace.runtime.verify import evidence
from living import lived, messages, project_of, sqlite_bus

DATED = {
    "type": "object",
    "required": ["id"],
    "properties": {
        "id": {"type": "string"},
        "version": {"type": "integer"},
        "amount": {"type": "number"},
        "at": {"type": "string", "format": "date-time"},
    },
}


def send(project, *events):
    """Send orders, each of a day of November, and bring them into silver."""
    with sqlite_bus(project) as bus:
        sent = [{"id": key, "version": version, "at": f"2026-11-{day:02}T10:00:00Z"} for key, version, day in events]
        bus.publish("orders", messages(sent))
        lived(project, bus)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A project with silver on three days, and its certificate beside it."""
    root = tmp_path_factory.mktemp("whole")
    project_of(root, "orders", schema=DATED)
    source = root / "connectors/orders.yaml"
    source.write_text(source.read_text() + "event_time: at\n")
    project = load_project(root)
    send(project, ("a", 1, 1), ("b", 1, 2), ("c", 1, 3), ("c", 1, 3))
    made = certificate.certify(project, evidence(project, scan=True), project_key(project.state), now())
    certificate.write(made, root / "out.json")
    return root


@pytest.fixture
def project(whole, tmp_path):
    return load_project(shutil.copytree(whole, tmp_path / "copy"))


def checked(project, **options):
    key = project_key(project.state)
    return check(project, certificate.read(project.root / "out.json"), key.public, **options)


def changed(project, statement):
    with connect() as connection:
        folder = project.state / "lake"
        connection.execute(attach_statement("lake", folder / CATALOG, folder / DATA))
        connection.execute(statement)


def test_it_holds_and_later_batches_explain_what_grew(project):
    found = checked(project)
    assert (found.holds, found.signature, found.ours, found.problems, found.changes) == (True, True, True, (), ())
    assert found.partitions == {"equal": 3, "grown": 0, "changed": 0, "unknown": 0}
    send(project, ("b", 2, 4), ("c", 1, 3), ("d", 1, 1))
    for scan in (False, True):
        grown = checked(project, scan=scan)
        assert (grown.holds, grown.partitions) == (True, {"equal": 1, "grown": 3, "changed": 0, "unknown": 0})
        days = {each.event_date[-2:]: each for each in grown.changes}
        assert sorted(days) == ["01", "02", "04"]
        assert days["02"].now == days["04"].certified == f"0:{0:032x}"


def test_what_no_batch_explains_is_named_by_its_partition(project):
    send(project, ("d", 1, 1))
    changed(project, "UPDATE lake.silver.orders SET amount = 7 WHERE id = 'b'")
    assert checked(project).holds, "only who reads silver sees it"
    found = checked(project, scan=True)
    assert not found.holds
    assert [(each.event_date, each.change) for each in found.changes] == [
        ("2026-11-01", "grown"),
        ("2026-11-02", "changed"),
    ]


def test_digests_and_ledgers_of_certified_batches_that_changed_are_found(project):
    changed(project, "UPDATE lake.ops.ledger SET duplicate = duplicate + 1, accepted = accepted + 1")
    changed(
        project,
        "UPDATE lake.ops.batches SET digests = list_transform(digests, lambda d: struct_update(d, low := d.low + 1))",
    )
    found = checked(project)
    assert found.partitions["changed"] == 3
    assert any("the ledger of the 4 messages that were certified" in each for each in found.problems)
    assert not found.holds


def test_an_older_state_another_project_and_another_key_are_told(project, tmp_path):
    text = certificate.read(project.root / "out.json")
    foreign = check(project, text, project_key(tmp_path / "other").public)
    assert (foreign.signature, foreign.ours, foreign.holds) == (True, False, False)
    assert check(project, text, None).ours is False
    other = check(replace(project, name="other"), text, text.public_key)
    assert (other.holds, other.problems) == (False, ("it is of lab/local, and this is other/local",))
    newer = load_project(shutil.copytree(project.root, tmp_path / "newer"))
    send(newer, ("d", 1, 9))
    later = certificate.certify(newer, evidence(newer), project_key(newer.state), now())
    older = check(project, later, later.public_key)
    assert (older.signature, older.ours, older.holds) == (True, True, False)
    assert older.problems == ("orders had taken 5 messages, and 4 now: another state",)
    assert [(each.event_date, each.change) for each in older.changes] == [("2026-11-09", "changed")]
    shutil.rmtree(project.state / "lake")
    assert checked(project).problems == ("nothing is committed here any more",)
    with pytest.raises(UserError, match="nothing to certify"):
        certificate.certify(project, evidence(project), project_key(project.state), now())


def test_any_byte_that_is_changed_is_found(whole, tmp_path):
    project = load_project(whole)
    raw = (whole / "out.json").read_bytes()
    public = project_key(project.state).public
    rng = random.Random(4)
    path = tmp_path / "changed.json"

    def passes(data):
        path.write_bytes(data)
        try:
            read = certificate.read(path)
        except InputError:
            return False
        return signed(read.message(), read.signature, public)

    assert passes(raw)
    for at in {*rng.sample(range(len(raw)), 400), *range(len(raw) - 180, len(raw))}:
        flipped = raw[:at] + bytes([raw[at] ^ rng.choice([1, 2, 4, 32, 128])]) + raw[at + 1 :]
        assert not passes(flipped), at
    said = json.loads(raw)
    for other in (raw + b"\n", raw[:-1], raw.replace(b"\n", b"\r\n"), json.dumps(said).encode(), b"\xef\xbb\xbf" + raw):
        assert not passes(other)
    twice = raw.replace(b'{\n "contracts"', b'{\n "holds": false,\n "contracts"')
    assert twice != raw
    assert not passes(twice)
    mine = project_key(tmp_path / "mine")
    resigned = certificate.read(whole / "out.json").model_copy(update={"public_key": mine.public, "holds": True})
    resigned = resigned.model_copy(update={"signature": mine.sign(resigned.message())})
    path.write_text(resigned.text())
    found = check(project, certificate.read(path), public)
    assert (found.signature, found.ours, found.holds) == (True, False, False)


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"null", b"[]", b"{}", b'{"format": 1}', b"[" * 100_000, b"\xff", b'{"format": NaN}', b"PAR1"],
    ids=repr,
)
def test_what_is_no_certificate_is_said_to_be_none(text, tmp_path):
    path = tmp_path / "bad.json"
    path.write_bytes(text)
    with pytest.raises(InputError, match="no certificate"):
        certificate.read(path)


def test_files_that_are_none_and_names_that_are_taken(whole, tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        certificate.read(tmp_path / "missing.json")
    with pytest.raises(InputError, match=r"no file|cannot be read"):
        certificate.read(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="no file"):
        certificate.read(tmp_path / "pipe")
    made = certificate.read(whole / "out.json")
    (tmp_path / "there.json").write_text("precious")
    (tmp_path / "link.json").symlink_to(tmp_path / "elsewhere.json")
    for taken in ("there.json", "link.json", "pipe", "."):
        with pytest.raises(UserError, match="already"):
            certificate.write(made, tmp_path / taken)
    assert (tmp_path / "there.json").read_text() == "precious"
    assert not (tmp_path / "elsewhere.json").exists()
    with pytest.raises(UserError, match="no such folder"):
        certificate.write(made, tmp_path / "missing/out.json")
