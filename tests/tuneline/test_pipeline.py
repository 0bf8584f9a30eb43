"""How dvc.yaml would call a stage."""

from pathlib import Path

from tests.conftest import Project
from tuneline.pipeline import stage_commands


def test_the_roots_own_stage_is_meant_where_another_dvc_yaml_has_its_name(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.run("git", "init", "-q")
    project.init_dvc()
    for folder in (".", "benchmarks", "zoo"):
        (tmp_path / folder).mkdir(exist_ok=True)
        stages = "".join(f"  {name}:\n    cmd: echo {folder}\n" for name in ("check", f"only-{Path(folder).name}"))
        (tmp_path / folder / "dvc.yaml").write_text(f"stages:\n{stages}")
    commands = stage_commands(tmp_path)
    assert commands["check"] == "echo ."
    assert commands["only-zoo"] == "echo zoo"
