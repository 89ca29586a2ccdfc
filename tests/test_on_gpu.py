"""On a CUDA device: what a CPU computes, graphs or not, and what memory does not suffice for."""

import pytest
import torch
import torch.nn.functional as F
import toy
from contract import ROWS, splits
from torch import nn

from lotus_unlearning import Finetune, LoTUS, Recipe, evaluate, train, unlearn
from lotus_unlearning.methods import METHODS
from lotus_unlearning.runtime import Runtime, compiling, graphs
from lotus_unlearning.runtime.seeds import seeded

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")

EVERY = pytest.mark.parametrize("name", METHODS)
BOTH_NORMS = pytest.mark.parametrize("make", toy.MODELS.values(), ids=toy.MODELS)
ON_GPU = {"batch_size": 8, "seed": toy.SEED, "device": "cuda", "progress": False}


@pytest.fixture
def captured(monkeypatch):
    """Every pass from the second on is a graph; how many kinds of passes were captured."""
    made = []
    capture = graphs.Graphs._capture

    def noted(self, model, x):
        graph = capture(self, model, x)
        made.append(graph is not None)
        return graph

    monkeypatch.setattr(graphs, "WORTH_IT", 1)
    monkeypatch.setattr(graphs.Graphs, "_capture", noted)
    return made


def far(model, other):
    """Largest difference, wherever both are."""
    return toy.difference(model.cpu(), other.cpu())


@EVERY
@BOTH_NORMS
def test_every_method_computes_what_it_does_on_a_cpu(name, make, captured):
    model, parts = toy.trained(make), splits()
    expected = toy.run(model, parts, ROWS[name]).model
    found = unlearn(model, parts, ROWS[name], precision="float64", **ON_GPU)
    assert found.peak_memory_bytes > 0
    assert far(found.model, expected) < 1e-8
    assert all(captured)


@EVERY
@BOTH_NORMS
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_graphs_change_no_bit(name, make, precision, captured, monkeypatch):
    model, parts = toy.trained(make).float(), splits()
    found = unlearn(model, parts, ROWS[name], precision=precision, **ON_GPU)
    assert all(captured)
    assert captured or name in ("unsir", "ssd", "retrain", "lotus", "scrub")
    monkeypatch.setattr(graphs, "MOST_GRAPHS", 0)
    expected = unlearn(model, parts, ROWS[name], precision=precision, **ON_GPU)
    assert far(found.model, expected.model) == 0
    assert found.history == expected.history


@pytest.mark.parametrize("graphs_from", [1, 10**6], ids=["graphs", "none"])
def test_same_seed_same_bits_and_a_checkpoint_too(graphs_from, monkeypatch, tmp_path):
    monkeypatch.setattr(graphs, "WORTH_IT", graphs_from)
    model, parts = toy.trained().float(), splits()

    class Cut(Finetune):
        """Killed when the second epoch is done."""

        def __call__(self, model, data, run):
            save = run.checkpoint.save

            def last(*arguments):
                save(*arguments)
                if arguments[2] == 2:
                    raise KeyboardInterrupt

            run.checkpoint.save = last
            super().__call__(model, data, run)

    whole, again = (unlearn(model, parts, Finetune(epochs=4), **ON_GPU).model for _ in range(2))
    assert far(whole, again) == 0
    Cut.__module__, Cut.__qualname__, Cut.__name__ = Finetune.__module__, "Finetune", "Finetune"
    with pytest.raises(KeyboardInterrupt):
        unlearn(model, parts, Cut(epochs=4), checkpoint=tmp_path, **ON_GPU)
    on = unlearn(model, parts, Finetune(epochs=4), checkpoint=tmp_path, **ON_GPU)
    assert far(on.model, whole) == 0
    assert len(on.history) == 4


def prepared_twice(model, x, y, steps=6):
    """Weights after steps with graphs and without."""
    found = []
    for most in (graphs.MOST_GRAPHS, 0):
        learner = toy.copy.deepcopy(model).cuda()
        run = Runtime(torch.device("cuda"), torch.float32, replays=True)
        old, graphs.MOST_GRAPHS = graphs.MOST_GRAPHS, most
        try:
            with seeded(0, run.device), run.prepared(learner.train()):
                optimizer = torch.optim.SGD(learner.parameters(), 0.1, 0.9)
                for _ in range(steps):
                    run.step(optimizer, F.cross_entropy(learner(x), y))
        finally:
            graphs.MOST_GRAPHS = old
        found.append(learner)
    return found


def images():
    x, y = toy.data()
    return x.float().cuda(), y.cuda()


def test_dropout_is_not_captured_and_draws_what_it_did(captured):
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(36, toy.CLASSES))
    found, expected = prepared_twice(model, *images())
    assert captured == []
    assert far(found, expected) == 0


def test_what_cannot_be_captured_is_computed_as_it_is(captured):
    class Looks(nn.Linear):
        def forward(self, x):
            scale = 1.0 if x.sum().item() > 0 else 2.0
            return scale * super().forward(x.flatten(1))

    found, expected = prepared_twice(Looks(36, toy.CLASSES), *images())
    assert captured == []
    assert far(found, expected) == 0


def test_a_second_pass_before_the_gradients_of_the_first(captured):
    model, (x, y) = toy.trained().float().cuda(), images()
    run = Runtime(torch.device("cuda"), torch.float32, replays=True)
    with run.prepared(model.train()):
        for _ in range(4):
            first, second = model(x), model(x.flip(0))
            kept = first.detach().clone()
            run.backward(model.parameters(), F.cross_entropy(first - second, y))
            assert torch.equal(first, kept)
    assert captured == [True]


def test_an_answer_that_is_kept_stays(captured):
    model, (x, y) = toy.trained(toy.norm_model).float().cuda(), images()
    run = Runtime(torch.device("cuda"), torch.float32, replays=True)
    with run.prepared(model.train()):
        answers = []
        for shift in range(4):
            z = model(x + shift)
            answers.append((z.detach(), z.detach().clone()))
            run.backward(model.parameters(), F.cross_entropy(z, y))
    assert captured == [True]
    assert all(torch.equal(a, b) for a, b in answers)


def test_batch_statistics_move_once_per_step(captured):
    x, y = images()
    found, expected = prepared_twice(toy.trained().float(), x, y)
    assert captured[0] is True
    assert far(found, expected) == 0
    assert int(found[1].num_batches_tracked) == int(expected[1].num_batches_tracked)


class Wide(nn.Module):
    """Needs much memory per image."""

    def __init__(self):
        super().__init__()
        self.narrow, self.out = nn.Linear(36, 2000), nn.Linear(2000, toy.CLASSES)

    def forward(self, x):
        h = self.narrow(x.flatten(1))[:, None].expand(-1, 1000, -1)
        for _ in range(4):
            h = torch.tanh(h + 0.1)
        return self.out(h.mean(1))


def test_out_of_memory_halves_the_images_at_once():
    torch.manual_seed(0)
    model, parts = Wide(), splits()
    whole = unlearn(
        model, parts, Finetune(epochs=2), precision="float32", **ON_GPU | {"batch_size": 32}
    )
    torch.cuda.empty_cache()
    held = torch.cuda.memory_allocated() + whole.peak_memory_bytes // 2  # one of 28 images
    share = held / torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(share)
    try:
        with pytest.warns(UserWarning, match="out of memory: images are computed"):
            few = unlearn(
                model, parts, Finetune(epochs=2), precision="float32", **ON_GPU | {"batch_size": 32}
            )
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert far(few.model, whole.model) < 1e-5
    assert few.peak_memory_bytes < whole.peak_memory_bytes


def test_train_and_evaluate():
    images, recipe = toy.data(), Recipe(epochs=3, batch_size=8)
    made = train(toy.conv_model().float(), images, recipe, device="cuda", progress=False).model
    parts = splits()
    reports = [
        evaluate(made.to(place), parts, original=made, device=place, precision="float32")
        for place in ("cpu", "cuda")
    ]
    frames = [report.to_frame().select_dtypes("number").to_numpy() for report in reports]
    assert frames[0].shape == frames[1].shape
    assert abs(frames[0] - frames[1])[~(frames[0] != frames[0])].max() < 0.05


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor", "default::UserWarning")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_compiled_blocks_compute_what_others_do(precision, captured, monkeypatch):
    monkeypatch.setattr(compiling, "WORTH_IT", 1)
    model, parts = toy.trained(toy.block_model).float(), splits()
    place = ON_GPU | {"precision": precision}
    made = [
        unlearn(model, parts, Finetune(epochs=4), compile=compiled, **place)
        for compiled in (False, True, True)
    ]
    assert captured
    assert all(captured)
    assert far(made[1].model, made[2].model) == 0
    assert far(made[0].model, model) > 1e-2
    assert 0 < far(made[0].model, made[1].model) < (1e-5 if precision == "float32" else 1e-2)


def test_bfloat16_is_what_is_chosen():
    model, parts = toy.trained().float(), splits()
    made = unlearn(model, parts, LoTUS(epochs=3, learning_rate=1e-2, tolerance=9), **ON_GPU)
    assert all(p.dtype is torch.float32 for p in made.model.parameters())
    assert made.history[0]["loss"] > 0
