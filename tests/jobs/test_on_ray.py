"""Jobs, here cells of a benchmark, on a real local Ray cluster of nodes, one of which is lost."""

import time
from functools import partial

import pytest
from small import grid

from lotus_unlearning.benchmark import preflight
from lotus_unlearning.benchmark.cells import DataChoice, Gold, Original, Setup
from lotus_unlearning.benchmark.materials import Place, load
from lotus_unlearning.benchmark.work import run
from lotus_unlearning.jobs.job import FinalError
from lotus_unlearning.jobs.on_ray import OnRay
from lotus_unlearning.jobs.schedule import run_all
from lotus_unlearning.jobs.store import Store

ray = pytest.importorskip("ray", reason="Ray is an extra: pip install 'lotus-unlearning[bench]'")

WORK = partial(run, place=Place("cpu"))


@pytest.fixture
def cluster():
    from ray.cluster_utils import Cluster

    quick = {
        "health_check_initial_delay_ms": 0,
        "health_check_period_ms": 300,
        "health_check_failure_threshold": 3,
    }
    head = {"num_cpus": 1, "_system_config": quick}  # a lost node is noticed in a second
    made = Cluster(initialize_head=True, head_node_args=head)
    made.add_node(num_cpus=1, resources={"spare": 1})
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
def test_the_cells_of_a_lost_node_are_run_on_another(cluster, tmp_path):
    cells = list(grid(tmp_path, seeds=1, methods=["finetune"]).cells())
    executor = OnRay(cluster.address, WORK)
    assert executor.slots == 3
    lost = []

    def watch(progress, cell, made):
        golds = sum(isinstance(c, Gold) for c in progress.running)
        if not lost and golds >= 2:  # more than the head can run: the other node is at work
            time.sleep(2)
            assert not ray.available_resources().get("CPU"), "the other node should be at work"
            node = next(n for n in cluster.worker_nodes)
            cluster.remove_node(node, allow_graceful=False)
            lost.append(node)

    store = Store(tmp_path / "r")
    progress = run_all(cells, store, executor, watch)
    assert lost
    assert not progress.failed
    assert all(store.record(cell)["values"] for cell in cells)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
def test_what_cannot_run_is_refused_and_what_is_not_needed_any_more_is_freed(cluster):
    with pytest.raises(
        ValueError, match=r"a machine with 1 cores and 1 GPUs for a cell, .* change --cpus"
    ):
        OnRay(cluster.address, WORK, gpus=1, called="cell")
    with pytest.raises(ValueError, match="a machine with 2 cores"):  # though two have one each
        OnRay(cluster.address, WORK, cpus=2)
    assert not ray.is_initialized()
    ray.init(address=cluster.address, logging_level="warning")
    executor = OnRay(cluster.address, WORK)
    wanted = [
        Original(setup=Setup(data=DataChoice(name=name), model="resnet-thin"))
        for name in ("digits", "fingers")
    ]
    found = executor.call(partial(preflight.look, wanted, Place("cpu")))
    (problem,) = found.problems
    assert "got 'fingers'; did you mean 'digits'?" in problem
    with pytest.raises(ValueError, match=r"^data: expected one of"):
        executor.call(partial(load, wanted[1].setup.data, None))
    executor = OnRay(cluster.address, lambda job, needs: list(needs.values())[-1])
    futures = [executor.submit(None, {"shared": {}, f"gold {i}": {"w": b"1"}}) for i in range(40)]
    assert len(executor._kept) == 16
    assert "shared" in executor._kept
    assert [future.result(timeout=60) for future in futures] == [{"w": b"1"}] * 40

    def refuse(job, needs):
        raise FinalError("refused")

    executor = OnRay(cluster.address, refuse)
    error = executor.submit(None, {}).exception(timeout=60)
    assert isinstance(error, FinalError)  # it is final, as in any other process
    assert error.reason == "refused"
    executor.close()
    assert ray.is_initialized()  # it was not entered by the executor


def test_without_a_cluster_the_error_says_how_to_start_one(tmp_path):
    with pytest.raises(ValueError, match="ray start --head"):
        OnRay("127.0.0.1:1", WORK)
