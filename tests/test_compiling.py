"""Which batches are computed by compiled blocks; what is computed; what is said when it cannot be.

A real compiler is asked once here, the one for GPUs in test_on_gpu.py.
"""

import copy
import re
from types import MethodType

import pytest
import timm
import torch
import torch.nn.functional as F
import toy
from contract import ROWS, splits
from torch import nn

from lotus_unlearning import SCRUB, Finetune, Recipe, evaluate, train, unlearn
from lotus_unlearning.methods import METHODS
from lotus_unlearning.runtime import Processes, Runtime, compiling

ON_CPU = {"batch_size": 8, "device": "cpu", "precision": "float64", "progress": False}


@pytest.fixture
def other():
    """How many times larger compiled blocks answer than they should, to tell them apart."""
    return [1.0]


@pytest.fixture
def seen(monkeypatch, other):
    """Sizes of the batches that compiled blocks were given; what compiles them leaves them be."""
    sizes = []

    def kept(forward, **_):
        def compiled(block, x, **named):
            sizes.append(len(x))
            return other[0] * forward(block, x, **named)

        return compiled

    monkeypatch.setattr(torch, "compile", kept)
    monkeypatch.setattr(compiling, "WORTH_IT", 2)
    return sizes


def rowless():
    return nn.Sequential(nn.Flatten(), nn.Linear(36, toy.CLASSES)).double()


@pytest.mark.parametrize("name", METHODS)
def test_every_method_computes_the_same(name, seen, monkeypatch):
    monkeypatch.setattr(compiling, "WORTH_IT", 1)
    model, parts = toy.trained(toy.block_model), splits()
    expected, found = (
        unlearn(model, parts, ROWS[name], compile=compiled, **ON_CPU) for compiled in (False, True)
    )
    assert toy.difference(found.model, expected.model) == 0
    assert found.history == expected.history
    assert seen


def test_batches_of_the_usual_size_and_no_others(seen):
    unlearn(toy.trained(toy.block_model), splits(), Finetune(epochs=1), compile=True, **ON_CPU)
    assert len(splits().retain) == 28
    assert seen == [8] * 3 * 4  # 8 + 8 + 8 + 4 images, each through four blocks


def test_not_for_fewer_batches_than_are_worth_it(seen, monkeypatch):
    monkeypatch.setattr(compiling, "WORTH_IT", 4)
    with pytest.warns(UserWarning, match="nothing was compiled, as no pass over images had 4"):
        unlearn(toy.trained(toy.block_model), splits(), Finetune(epochs=2), compile=True, **ON_CPU)
    assert seen == []


def test_predictions_too(seen, monkeypatch):
    monkeypatch.setattr("lotus_unlearning.runtime.inputs.PREDICTED_AT_ONCE", 8)
    model, parts = toy.trained(toy.block_model), splits()
    run = Runtime(precision=torch.float64, compiles=True)
    with run.prepared(model):
        run.predict(model, parts.retain)  # 8 + 8 + 8 + 4
        assert seen == [8] * 3 * 4
        model(toy.data()[0][:8].double())  # in no pass over images
        assert seen == [8] * 3 * 4


@pytest.mark.parametrize("other", [[1.001]])
@pytest.mark.parametrize(
    "method", [Finetune(epochs=4), SCRUB(epochs=4, forget_batch_size=8, retain_batch_size=8)]
)
def test_a_run_that_goes_on_computes_each_batch_as_the_first_attempt(
    method, other, seen, monkeypatch, tmp_path
):
    monkeypatch.setattr(compiling, "WORTH_IT", 3)
    model, parts = toy.trained(toy.block_model), splits()
    whole = unlearn(model, parts, method, compile=True, **ON_CPU)
    first, ended = list(seen), []

    def killed(*_):
        ended.append(len(seen))
        if len(ended) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("lotus_unlearning.runtime.run.progress.mean_loss", killed)
        with pytest.raises(KeyboardInterrupt):
            unlearn(model, parts, method, compile=True, checkpoint=tmp_path, **ON_CPU)
    seen.clear()
    on = unlearn(model, parts, method, compile=True, checkpoint=tmp_path, **ON_CPU)
    assert toy.difference(on.model, whole.model) == 0
    assert toy.difference(on.model, unlearn(model, parts, method, **ON_CPU).model) > 0
    assert len(seen) >= len(first) // 2


def test_a_graph_of_compiled_blocks_is_not_replayed_for_others(seen, monkeypatch):
    monkeypatch.setattr(Runtime, "may_capture", True)
    model, x = toy.trained(toy.block_model), toy.data()[0].double()
    run = Runtime(precision=torch.float64, compiles=True)
    with run.prepared(model):
        with run.compiling.usual([8, 8]):
            run.backward(model.parameters(), model(x[:8]).sum())
        run.backward(model.parameters(), model(x[:8]).sum())
        assert sorted(run._graphs[0]._seen.values()) == [1, 1]


def test_images_that_memory_did_not_suffice_for_are_computed_as_they_are(seen):
    model, parts = toy.trained(toy.block_model), splits()
    run = Runtime(precision=torch.float64, compiles=True, micro_batch=4, batch_size=8)
    with run.prepared(model.train()):
        for x, y, _ in run.batches(parts.retain):
            run.backward(model.parameters(), F.cross_entropy(model(x), y))
    assert seen == []


def test_a_forward_of_ones_own_stays(seen):
    model, parts = toy.trained(toy.block_model), splits()
    block = model[1][2]
    vars(block)["forward"] = MethodType(lambda self, x: 3 * type(self).forward(self, x), block)
    with pytest.raises(ValueError, match="expected a model that repeats a block"):
        unlearn(model, parts, Finetune(epochs=1), compile=True, **ON_CPU)
    still = unlearn(model, parts, Finetune(epochs=1, learning_rate=1e-13), **ON_CPU).model
    x = toy.data()[0].double()
    assert torch.allclose(still(x), model(x))
    assert "forward" in vars(model[1][2])


def test_a_checkpoint_says_whether_blocks_were_compiled(seen, tmp_path):
    model, parts = toy.trained(toy.block_model), splits()
    unlearn(model, parts, Finetune(epochs=1), compile=True, checkpoint=tmp_path, **ON_CPU)
    with pytest.raises(ValueError, match="compile: here none, there True"):
        unlearn(model, parts, Finetune(epochs=1), checkpoint=tmp_path, **ON_CPU)


def test_train_and_evaluate(seen):
    model, parts = toy.trained(toy.block_model), splits()
    place = {"device": "cpu", "precision": "float64"}
    recipe = Recipe(epochs=1, batch_size=8)
    train(model, parts.retain, recipe, compile=True, progress=False, **place)
    assert set(seen) == {8}
    found, expected = (
        evaluate(model, parts, original=model, compile=compiled, **place)
        for compiled in (True, False)
    )
    assert found.values == expected.values


def test_blocks_are_as_they_were_afterwards(seen):
    model = toy.trained(toy.block_model)
    with Runtime(precision=torch.float64, compiles=True).prepared(model):
        assert all("forward" in vars(block) for block in model[1])
    assert not any("forward" in vars(module) for module in model.modules())


def test_the_innermost_rows_of_one_kind():
    inner = [nn.Sequential(*(toy.Block() for _ in range(4))) for _ in range(4)]
    rows = list(compiling.repeated(nn.Sequential(*inner)))
    assert [len(row) for row in rows] == [4] * 4
    assert all(type(block) is toy.Block for row in rows for block in row)
    vit = timm.create_model("vit_tiny_patch16_224", img_size=32, num_classes=2)
    assert [len(row) for row in compiling.repeated(vit)] == [12]
    beside = nn.Sequential(nn.Tanh(), *(toy.Block() for _ in range(4)), nn.Tanh())
    assert [len(row) for row in compiling.repeated(beside)] == [4]


@pytest.mark.parametrize(
    "model",
    [
        toy.block_model(blocks=3),
        nn.Sequential(*(nn.Linear(2, 2) for _ in range(4))),
        nn.Sequential(*(nn.Sequential(nn.Linear(2, 2)) for _ in range(4))),
        timm.create_model("mobilenetv3_small_050", num_classes=2),
    ],
    ids=["few", "layers", "containers", "stages"],
)
def test_what_is_no_row_of_blocks(model):
    assert list(compiling.repeated(model)) == []


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # of the tracer
def test_compiled_in_earnest(monkeypatch):
    """Shapes and gradients by PyTorch's tracer, without a code generator, which takes seconds."""
    real, counted = torch.compile, torch._dynamo.utils.counters
    monkeypatch.setattr(torch, "compile", lambda f, **how: real(f, backend="aot_eager", **how))
    monkeypatch.setattr(compiling, "WORTH_IT", 2)
    counted.clear()
    model, parts = toy.trained(toy.block_model), splits()
    expected, found = (
        unlearn(model, parts, Finetune(epochs=2), compile=compiled, **ON_CPU).model
        for compiled in (False, True)
    )
    assert toy.difference(found, expected) < 1e-12
    # one for the first, whose images need no gradients, and one for all others
    assert counted["stats"]["unique_graphs"] == 2


def test_a_model_without_such_blocks():
    said = "compile: expected a model that repeats a block at least 4 times"
    with pytest.raises(ValueError, match=said):
        unlearn(rowless(), splits(), Finetune(epochs=1), compile=True, **ON_CPU)
    with pytest.raises(ValueError, match=said):
        evaluate(rowless(), splits(), compile=True, device="cpu")


def test_in_shards():
    with pytest.raises(ValueError, match="compile: expected models not in shards"):
        Runtime(processes=Processes(count=2, rank=0), shard=True, compiles=True)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
def test_a_machine_that_cannot_compile(monkeypatch):
    monkeypatch.setattr(compiling, "WORTH_IT", 2)

    def broken(graph, inputs):
        raise OSError("no C++ compiler")

    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **how: real(f, backend=broken, **how))
    model = toy.trained(toy.block_model)
    before = copy.deepcopy(model)
    said = re.escape("torch.compile can compile here, got Block: no C++ compiler; run without it")
    with pytest.raises(ValueError, match=said):
        unlearn(model, splits(), Finetune(epochs=1), compile=True, **ON_CPU)
    assert toy.difference(model, before) == 0


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
def test_more_shapes_than_pytorch_compiles_by_itself(monkeypatch):
    real, calls = torch.compile, []

    def counted(forward, **how):
        def backend(graph, inputs):
            def run(*given):
                calls.append(len(given))
                return graph(*given)

            return run

        return real(forward, backend=backend, **how)

    monkeypatch.setattr(torch, "compile", counted)
    monkeypatch.setattr(compiling, "WORTH_IT", 1)
    model = toy.trained(toy.block_model).eval()
    run = Runtime(precision=torch.float64, compiles=True)
    x = toy.data()[0].double()
    with run.prepared(model), torch.no_grad():
        for size in range(2, 16):
            calls.clear()
            with run.compiling.usual([size]):
                model(x[:size])
            assert len(calls) == 4, size
