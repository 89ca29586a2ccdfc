"""A bank on a real local Ray cluster."""

from dataclasses import replace

import numpy as np
import pytest
from few_networks import RECIPE, network

from lotus_unlearning.audit import Wanted, Where, bank, of_model

ray = pytest.importorskip("ray", reason="Ray is an extra: pip install 'lotus-unlearning[bench]'")


@pytest.fixture
def cluster():
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
def test_a_cluster_gives_what_one_process_gives(cluster, digits, tmp_path):
    quick = of_model(network(), digits, replace(RECIPE, epochs=2), precision="float64")
    wanted = Wanted(golds=2, shadows=2)
    one = bank(quick, digits, tmp_path / "one", wanted)
    many = bank(quick, digits, tmp_path / "many", wanted, where=Where(ray=cluster.address))
    for kind in ("gold", "shadow"):
        assert one.members(kind) == many.members(kind)
        for member in one.members(kind):
            mine, theirs = (b.predictions(member)["test"] for b in (one, many))
            assert np.allclose(mine, theirs, atol=2e-4)
