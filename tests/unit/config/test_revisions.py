"""A project as of a git revision: where the project lies, odd names, and what git says when it cannot."""

import json
import os
import subprocess

import pytest

from headrace.config.contract_changes import changes_since, faults_of
from headrace.config.project import assemble
from headrace.config.revisions import Restored, revision
from headrace.errors import ConfigError


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def kept(shop, orders):
    """A shop in a subfolder of a repository, committed once as `main`."""
    shop.source(orders)
    shop.write("../notes.json", "{}")
    git(shop.root.parent, "init", "-q", "-b", "main")
    git(shop.root.parent, "add", "-A")
    git(shop.root.parent, "commit", "-qm", "one")
    return shop


def commit(shop):
    git(shop.root.parent, "add", "-A")
    git(shop.root.parent, "commit", "-qm", "more")


def changed(shop, **properties):
    """Write other properties into the schema of orders."""
    path = shop.root / "schemas/orders.json"
    document = json.loads(path.read_text())
    document["properties"] |= properties
    path.write_text(json.dumps(document, indent=2))


def since(shop, name="main", **options):
    return changes_since(assemble(shop.root, None, {}), shop.root.resolve(), revision(shop.root, name), **options)


def test_files_come_by_their_place_in_the_project(kept):
    there = revision(kept.root, "main")
    assert set(there.blobs) == {"headrace.yaml", "connectors/orders.yaml", "schemas/orders.json"}
    with Restored(there, there.blobs) as folder:
        assert (folder / "headrace.yaml").read_text() == "name: shop\n"
    assert not folder.exists()
    assert not since(kept)


def test_a_change_breaks_under_the_mode_of_its_source(kept, orders):
    changed(kept, amount={"type": "integer"})
    (found,) = since(kept)
    assert [change.rule for change in found.breaking] == ["type-narrowed"]
    (fault,) = faults_of(kept.root, [found], "main")
    assert (fault.file, fault.severity) == ("schemas/orders.json", "error")
    assert '"amount"' in (kept.root / fault.file).read_text().splitlines()[fault.line - 1]
    kept.source(orders.replace("schemas/orders.json}", "schemas/orders.json, evolution: forward}"))
    assert since(kept)[0].breaking == ()


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("none", "none", "(`evolution: none` lets it pass)"),
        ("backward", "none", "(main promised backward, and `evolution: none` lets it pass)"),
        ("full", "forward", "(main promised full, and `evolution: forward` lets it pass)"),
        ("forward", "forward", None),
        ("none", "forward", "(`evolution: forward` lets it pass)"),
    ],
)
def test_what_a_mode_lets_pass_though_readers_rely_on_it_is_a_warning(kept, orders, before, after, said):
    def under(mode):
        return orders.replace("schemas/orders.json}", f"schemas/orders.json, evolution: {mode}}}")

    kept.source(under(before))
    commit(kept)
    kept.source(under(after))
    changed(kept, amount={"type": "integer"})
    found = since(kept)
    told = faults_of(kept.root, found, "main")
    assert [fault.severity for fault in told] == ([] if said is None else ["warning"])
    assert all(f"type-narrowed breaks orders against main {said}" in fault.message for fault in told)
    assert not any(each.breaking for each in found)
    kept.write("schemas/orders/v1.json", json.dumps({"type": "object"}))  # so the newest is v2, which may break
    assert faults_of(kept.root, since(kept), "main") == []


def test_a_source_under_none_that_is_gone_is_a_warning(kept, orders):
    kept.source(orders.replace("schemas/orders.json}", "schemas/orders.json, evolution: none}"))
    commit(kept)
    (kept.root / "connectors/orders.yaml").unlink()
    (fault,) = faults_of(kept.root, since(kept), "main")
    assert (fault.severity, fault.file) == ("warning", "connectors/orders.yaml")


def test_a_file_that_cannot_be_read_is_no_source_that_is_gone(kept):
    kept.write("connectors/orders.yaml", "source_id: [\n")
    assert since(kept) == []


def test_a_version_of_its_own_may_break(kept):
    old = (kept.root / "schemas/orders.json").read_text()
    changed(kept, amount={"type": "integer"})
    kept.write("schemas/orders/v1.json", old)
    (found,) = since(kept)
    assert found.breaking
    assert found.bumped
    assert faults_of(kept.root, [found], "main") == []


def test_a_transitive_mode_asks_every_version(kept, orders):
    kept.source(orders.replace("schemas/orders.json}", "schemas/orders.json, evolution: backward_transitive}"))
    old = json.loads((kept.root / "schemas/orders.json").read_text())
    old["properties"]["note"] = {"type": "string"}
    kept.write("schemas/orders/v1.json", json.dumps(old))
    changed(kept, note={"type": "integer"})
    assert "against v1" in since(kept)[0].breaking[-1].why


def test_what_no_schema_says_breaks_too(kept, orders):
    kept.source(orders.replace("[order_id]", "[order_id, customer]").replace("event_time: ordered_at", ""))
    rules = {change.rule for each in since(kept) for change in each.breaking}
    assert {"key-changed", "event-time-changed"} <= rules


def test_a_source_that_is_gone_breaks_and_one_that_is_new_does_not(kept, orders):
    (kept.root / "connectors/orders.yaml").rename(kept.root / "connectors/sales.yaml")
    (kept.root / "connectors/sales.yaml").write_text(orders.replace("source_id: orders", "source_id: sales"))
    by_source = {each.source: each for each in since(kept)}
    assert [change.rule for change in by_source["orders"].breaking] == ["source-removed"]
    assert by_source["sales"].breaking == ()
    (fault,) = faults_of(kept.root, list(by_source.values()), "main")
    assert fault.file == "connectors/orders.yaml"


def test_only_source_files_are_sources(kept):
    """`headrace init` puts a schema for editors beside them."""
    kept.write("connectors/source.schema.json", "{}")
    kept.write("connectors/_shared.yaml", "a: 1\n")
    kept.write("connectors/broken.yaml", "a: [\n")
    commit(kept)
    (kept.root / "connectors/broken.yaml").unlink()
    assert since(kept) == []
    changed(kept, note={"type": "string"})
    assert [each.source for each in since(kept)] == ["orders"]


def numbered(shop):
    """Commit two numbered versions, the older one with a required field less."""
    old = (shop.root / "schemas/orders.json").read_text()
    shop.write("schemas/orders/v1.json", old)
    changed(shop, note={"type": "string"})
    commit(shop)


def test_a_numbered_version_stays_what_it_was(kept):
    numbered(kept)
    file = kept.root / "schemas/orders/v1.json"
    old = file.read_text()
    file.write_text(old.replace('"number"', '"integer"'))
    assert file.read_text() != old
    (found,) = since(kept)
    assert [change.rule for change in found.breaking] == ["version-changed"]
    (fault,) = faults_of(kept.root, [found], "main")
    assert (fault.severity, fault.file) == ("error", "schemas/orders/v1.json")
    assert "#/properties/amount" in fault.message
    assert fault.fix == "put it back, and add a version that differs"
    file.write_text(json.dumps(json.loads(old) | {"description": "told better"}))
    assert since(kept) == []
    changed(kept, more={"type": "string"})  # breaks nobody, and v2 was promised as it was
    assert [(each.new, change.rule) for each in since(kept) for change in each.breaking] == [("v2", "version-changed")]


@pytest.mark.parametrize("newest", ["schemas/orders.json", "schemas/orders/v2.json"])
def test_a_numbered_version_stays_until_it_is_retired(kept, orders, newest):
    numbered(kept)
    document = json.loads((kept.root / "schemas/orders.json").read_text())
    kept.write("schemas/orders.json", json.dumps({"version": "2"} | document))
    commit(kept)
    if newest != "schemas/orders.json":
        (kept.root / "schemas/orders.json").rename(kept.root / newest)
        commit(kept)
    file = kept.root / "schemas/orders/v1.json"
    old = file.read_text()
    file.unlink()
    (gone,) = since(kept)
    assert [(each.rule, gone.old) for each in gone.breaking] == [("version-removed", "v1")]
    (fault,) = faults_of(kept.root, [gone], "main")
    assert (fault.file, fault.fix) == (
        "connectors/orders.yaml", "put schemas/orders/v1.json back with its steps of `upcast`, or retire it first"
    )  # fmt: skip
    file.write_text(old)
    kept.source(orders.replace("orders.json}", "orders.json, versions: {v1: {status: retired}}}"))
    commit(kept)
    file.unlink()
    kept.source(orders)
    assert since(kept) == []


def test_a_file_of_another_folder_and_a_link_are_not_the_projects(kept):
    (kept.root / "schemas/link.json").symlink_to("/etc/hostname")
    git(kept.root, "add", "-A")
    git(kept.root, "commit", "-qm", "two")
    assert "schemas/link.json" not in revision(kept.root, "main").blobs


@pytest.mark.parametrize("name", ["-x", "--output=/tmp/x", "main:x", "a b", "", "main..HEAD", "@{u}", "x\n"])
def test_odd_names_never_reach_git(kept, name):
    with pytest.raises(ConfigError, match="cannot be a git revision"):
        revision(kept.root, name)


def test_what_git_cannot_do_is_told(kept, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="git knows no revision 'nope'") as problem:
        revision(kept.root, "nope")
    assert problem.value.fix == "--against main; or a tag, or a commit"
    alone = tmp_path / "alone"
    alone.mkdir()
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    with pytest.raises(ConfigError, match="in no git repository"):
        revision(alone, "main")
    git(alone, "init", "-q", "-b", "main")
    with pytest.raises(ConfigError, match="has no commit yet"):
        revision(alone, "main")
    monkeypatch.setenv("PATH", os.fspath(alone))
    with pytest.raises(ConfigError, match="git is not installed"):
        revision(kept.root, "main")


def test_a_branch_that_only_a_remote_has_is_meant(kept, tmp_path):
    changed(kept, amount={"type": "integer"})
    commit(kept)
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", kept.root.parent.as_uri(), str(clone))
    git(clone, "checkout", "-q", "--detach", "HEAD~1")
    git(clone, "branch", "-qD", "main")
    root = clone / kept.root.name
    assert revision(root, "main").commit == revision(kept.root, "main").commit
    git(clone, "remote", "add", "other", kept.root.parent.as_uri())
    git(clone, "fetch", "-q", "other")
    with pytest.raises(ConfigError, match="git knows no revision 'main'"):
        revision(root, "main")


@pytest.mark.parametrize(("name", "fix"), [("next", "git fetch --depth 1 origin next"), ("HEAD~1", "--unshallow")])
def test_a_shallow_clone_says_what_to_fetch(kept, tmp_path, name, fix):
    commit_nothing = ["commit", "-qm", "two", "--allow-empty"]
    git(kept.root.parent, *commit_nothing)
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--depth", "1", kept.root.parent.as_uri(), str(clone))
    with pytest.raises(ConfigError, match="in this shallow clone") as told:
        revision(clone / kept.root.name, name)
    assert fix in told.value.fix


def test_the_place_that_git_tells_a_hook_is_not_the_projects(kept, monkeypatch):
    monkeypatch.setenv("GIT_DIR", str(kept.root.parent / ".git"))
    assert "connectors/orders.yaml" in revision(kept.root, "main").blobs
    monkeypatch.setenv("GIT_DIR", ".git")
    assert "connectors/orders.yaml" in revision(kept.root, "main").blobs


def test_a_file_that_git_has_lost_is_told(kept):
    there = revision(kept.root, "main")
    blob = there.blobs["schemas/orders.json"]
    (kept.root.parent / ".git/objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(ConfigError, match=r"git lacks what schemas/orders.json was at main"):
        dict(there.read(["schemas/orders.json"]))


def test_a_project_that_the_revision_does_not_have_is_all_new(kept, orders):
    git(kept.root.parent, "rm", "-rq", "--cached", "shop")
    git(kept.root.parent, "commit", "-qm", "none")
    assert [(each.source, each.old, each.breaking) for each in since(kept)] == [("orders", None, ())]
