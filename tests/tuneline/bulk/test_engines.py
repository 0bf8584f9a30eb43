"""Either engine gives the same bytes, whatever the number of workers, and though one of them is lost."""

import importlib
import importlib.util
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from speed.scale import CHECKS, STAGES, options, write_rows
from tests.recipe_folder import write_recipe
from tuneline.bulk.engines import open_engine

HAS_RAY = importlib.util.find_spec("ray") is not None
with_ray = pytest.mark.skipif(not HAS_RAY, reason="Ray is not installed; `pip install 'tuneline[ray]'`")
ROWS = 6_000  # more than a part
os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"  # as the engine has it, before Ray is imported here


def squared(number: int) -> int:
    return number**2


def killed_once(folder: Path, number: int) -> int:
    """Takes its process along, the first time that it is asked about 7."""
    flag = folder / "killed"
    if number == 7 and not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def here(number: int) -> str:
    return str(Path.cwd())


def refused(number: int) -> int:
    if number >= 5:
        raise click.ClickException(f"{number} is too many")
    return number


def slow(number: int) -> tuple[int, bytes]:
    time.sleep(0.2)
    return number, bytes(200_000)  # in the store of the machine that made it


@pytest.mark.skipif(HAS_RAY, reason="Ray is installed")
def test_without_ray_a_line_says_what_to_install() -> None:
    with pytest.raises(click.ClickException, match=r"Ray is not installed; `pip install 'tuneline\[ray\]'`"):
        open_engine("ray").__enter__()


def test_here_it_is_map() -> None:
    with open_engine("local") as mapped:
        assert mapped is map


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Of two workers."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "object_store_memory": 200 << 20})
    yield made
    made.shutdown()


@pytest.fixture
def mapped(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable]:
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    with open_engine("ray") as mapped:
        yield mapped


@with_ray
def test_results_are_in_order_and_a_killed_worker_costs_none(
    mapped: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(mapped(squared, range(20))) == list(map(squared, range(20)))
    assert list(mapped(squared, [])) == []
    monkeypatch.chdir(tmp_path)
    assert list(mapped(here, range(3))) == [str(tmp_path)] * 3
    assert list(mapped(partial(killed_once, tmp_path), range(20))) == list(range(20))
    assert (tmp_path / "killed").exists()


@with_ray
def test_what_a_user_did_wrong_is_told_here_as_it_is_there(mapped: Callable) -> None:
    for engine in (map, mapped):
        seen = []
        with pytest.raises(click.ClickException, match="5 is too many"):
            for number in engine(refused, range(9)):
                seen.append(number)
        assert seen == list(range(5))


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every stage ran here."""
    folder = tmp_path_factory.mktemp("local")
    write_recipe(folder / "recipe", curate={"checks": CHECKS})
    write_rows(folder, ROWS, near=0.2, seed=1)
    for stage in STAGES:
        run(stage, folder, "local")
    return folder


def run(stage: str, folder: Path, engine: str) -> None:
    done = CliRunner().invoke(importlib.import_module(f"stages.{stage}").main, options(stage, folder, engine))
    assert done.exit_code == 0, done.output


def by_ray(local: Path, folder: Path) -> None:
    """Every stage, and nothing else than what it made here."""
    for name in ("recipe", "rows.jsonl"):
        (folder / name).symlink_to(local / name)
    for stage in STAGES:
        run(stage, folder, "ray")
    made = {path.relative_to(local): path for path in (local / "data").rglob("*") if path.is_file()}
    assert {path.relative_to(folder) for path in (folder / "data").rglob("*") if path.is_file()} == set(made)
    assert [str(name) for name, path in made.items() if path.read_bytes() != (folder / name).read_bytes()] == []


@with_ray
def test_every_stage_writes_the_same_bytes(
    cluster: Any, local: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    by_ray(local, tmp_path)


@with_ray
@pytest.mark.soak
def test_so_it_does_on_one_worker(local: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 200 << 20})
    try:
        monkeypatch.setenv("RAY_ADDRESS", cluster.address)
        by_ray(local, tmp_path)
    finally:
        cluster.shutdown()


@with_ray
@pytest.mark.soak
def test_a_machine_lost_in_the_middle_costs_no_row(
    local: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two machines on loopback, of which one goes while parts are at work there and others lie in its store."""
    from ray.cluster_utils import Cluster

    store = {"object_store_memory": 200 << 20}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **store})
    lost = cluster.add_node(num_cpus=1, **store)
    try:
        cluster.wait_for_nodes()
        monkeypatch.setenv("RAY_ADDRESS", cluster.address)
        with open_engine("ray") as mapped:
            results = iter(mapped(slow, range(60)))
            first = [next(results) for _ in range(8)]
            cluster.remove_node(lost, allow_graceful=False)
            assert [number for number, _ in (*first, *results)] == list(range(60))
        lost = cluster.add_node(num_cpus=1, **store)
        cluster.wait_for_nodes()
        going = threading.Timer(5, lambda: cluster.remove_node(lost, allow_graceful=False))
        going.start()
        by_ray(local, tmp_path)
        going.join()
    finally:
        cluster.shutdown()
