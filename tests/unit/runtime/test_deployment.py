"""A deployment records the files that its digest covers, as they were when the project was loaded."""

import json

from headrace.runtime import building
from living import project_of, rows


def test_what_is_recorded_is_what_the_digest_covers(tmp_path):
    project = project_of(tmp_path)
    (project.root / "schemas/unused.json").write_text("{}")
    building.bring_in(project)
    (found,) = rows(project, "SELECT digest, files FROM lake.ops.deployments")
    assert found["digest"] == project.digest
    files = json.loads(found["files"])
    assert files == {file: content.decode() for file, content in project.files.items()}
    assert set(files) == {"headrace.yaml", "connectors/orders.yaml", "schemas/orders.json"}
