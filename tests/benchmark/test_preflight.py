"""What is wrong or absent is said before anything is trained, and a dry run says it, too."""

import itertools
import os

import pytest
import torch
import torchvision.datasets
from PIL import Image
from small import BLOCK, YAML, grid
from test_blocks import cifar100
from test_cifake import cifar

from lotus_unlearning.benchmark import contents, materials, preflight
from lotus_unlearning.benchmark.cells import DataChoice
from lotus_unlearning.benchmark.materials import Place
from lotus_unlearning.benchmark.read import read_grid
from lotus_unlearning.cli import main
from lotus_unlearning.jobs.schedule import order
from lotus_unlearning.jobs.store import Store

RANDOM = {"kind": "random"}
ONE_ABSENT = """
title: "Some of the data"
blocks:
  - name: few-digits
    data: {name: digits, limit: 200}
    model: resnet-thin
    recipe: {epochs: 1}
  - name: faces
    data: {name: mufac, limit: 40, size: 8}
    model: resnet-thin
    recipe: {epochs: 1}
methods: [{method: finetune, label: finetune, settings: {epochs: 1}}]
measures: [js_divergence, forget_accuracy]
seeds: 1
golds: 1
"""


def ready(chosen, folder, root=None, may_skip=True, dry=False):
    place = Place("cpu", str(root or folder))
    return preflight.ready(
        chosen, Store(folder / "r"), place, lambda look: look(), may_skip=may_skip, dry=dry
    )


@pytest.fixture
def words(tmp_path):
    (tmp_path / "some.yaml").write_text(ONE_ABSENT)
    words = ["bench", str(tmp_path / "some.yaml"), "--out", str(tmp_path / "r")]
    return [*words, "--root", str(tmp_path / "data"), "--device", "cpu"]


@pytest.fixture
def _only_what_is_on_disk(monkeypatch):
    for reader in (torchvision.datasets.CIFAR10, torchvision.datasets.CIFAR100):
        monkeypatch.setattr(reader, "download", lambda _: None)
        monkeypatch.setattr(
            reader,
            "_check_integrity",
            lambda self: os.path.isdir(f"{self.root}/{self.base_folder}"),
        )
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)
    monkeypatch.setattr(preflight, "build", lambda *_, **__: None)  # published weights


@pytest.mark.usefixtures("_only_what_is_on_disk")
def test_table_2_needs_no_cifake_to_run_the_blocks_of_cifar_10(tmp_path):
    cifar(tmp_path)
    found = ready(read_grid("table2", {"seeds": 1}), tmp_path)
    assert found.skipped == ["cifake-vit", "cifake"]
    assert list(found.grid.blocks) == ["cifar-10-vit", "cifar-10"]
    (absent,) = found.absent
    assert "test/FAKE: no images" in absent
    assert "birdy654/cifake-real-and-ai-generated-synthetic-images" in absent


@pytest.mark.usefixtures("_only_what_is_on_disk")
def test_without_any_data_all_that_is_missing_is_said_at_once(tmp_path):
    with pytest.raises(ValueError, match=r"(?s)cifar-10: expected .*cifake: expected "):
        ready(read_grid("table2", {"seeds": 1}), tmp_path)


@pytest.mark.usefixtures("_only_what_is_on_disk")
def test_blocks_that_were_named_are_not_skipped(tmp_path, capsys):
    cifar100(tmp_path)
    words = ["bench", "table3", "--blocks", "cifar-100", "cifar-10", "--seeds", "1"]
    assert main([*words, "--root", str(tmp_path), "--device", "cpu"]) == 1
    said = capsys.readouterr()
    assert "cifar-10: expected the data set in" in said.err
    assert said.out == ""


def test_a_dry_run_downloads_nothing_and_lists_what_a_run_would(tmp_path, monkeypatch, capsys):
    def download(_):
        pytest.fail("it downloads")

    monkeypatch.setattr(torchvision.datasets.CIFAR10, "download", download)
    words = ["bench", "table3", "--blocks", "cifar-10", "--seeds", "1", "--golds", "1"]
    words += ["--methods", "lotus", "--root", str(tmp_path), "--out", str(tmp_path / "r")]
    assert main([*words, "--dry_run"]) == 0
    said = capsys.readouterr()
    assert "cifar-10: cifar-10-python.tar.gz (170 MB)" in said.err
    assert f"would be downloaded to {tmp_path}" in said.err
    assert "no estimate  LoTUS forgets random 50% (seed 0), original 0, cifar-10" in said.out


def test_weights_that_cannot_be_had_are_missed_before_anything_is_trained(
    tmp_path, monkeypatch, capsys
):
    import timm

    def create_model(*_, pretrained=False, **__):
        if pretrained:
            raise OSError("no route to the weights")
        return torch.nn.Identity()

    monkeypatch.setattr(timm, "create_model", create_model)
    block = {**BLOCK, "model": "timm:resnet10t", "pretrained": True}
    with pytest.raises(ValueError, match=r"no route to the weights; start from fresh ones"):
        ready(grid(tmp_path, blocks=[block]), tmp_path)
    ready(grid(tmp_path, blocks=[block]), tmp_path, dry=True)  # which needs none


def test_what_can_run_is_run_and_its_table_comes_again(words, tmp_path, capsys):
    assert main(words) == 0
    said = capsys.readouterr()
    assert (
        "skipped, as their data or weights are absent: faces; the same command runs them"
        in said.err
    )
    assert "It goes on with few-digits." in said.err
    assert said.err.count("mufac: expected the data set in") == 1
    assert "4 of 4 done" in said.err
    assert "Some of the data: few-digits" in said.out
    assert main([*words, "--show"]) == 0
    assert capsys.readouterr().out == said.out
    assert main(words) == 0  # all that can be run is finished
    assert capsys.readouterr().out == said.out
    assert (tmp_path / "r/tables/some.html").exists()


def test_a_dry_run_lists_what_would_run_without_the_absent_data(words, monkeypatch, capsys):
    monkeypatch.setattr("lotus_unlearning.cli.bench.estimates", lambda cells, *_: {})
    assert main([*words, "--dry_run"]) == 0
    said = capsys.readouterr()
    assert "skipped, as their data or weights are absent: faces" in said.err
    assert "4 cells to run of 4, for how long is not known" in said.out
    assert said.out.count("no estimate") == 4


@pytest.mark.parametrize(
    ("wrong", "scenario", "message"),
    [
        ({"label": "11"}, {"kind": "class"}, r"a class of digits \(0, .*, got '11'"),
        ({}, {"kind": "group"}, "expected a data set with groups, but digits has none"),
        ({}, {"kind": "official"}, "whose authors chose images to forget, got digits"),
        ({"model": "resnet-thim"}, RANDOM, "got 'resnet-thim'; did you mean 'resnet-thin'"),
        ({"model": "timm:resnet10x"}, RANDOM, "timm has no 'resnet10x'; the nearest are resnet10t"),
        ({"model": "torchvision:resnet81"}, RANDOM, "torchvision has no 'resnet81'"),
        ({"model": "python:nowhere:net"}, RANDOM, "expected a module 'nowhere'"),
        (
            {"pretrained": True},
            RANDOM,
            "expected a model with published weights, got 'resnet-thin'",
        ),
        ({"precision": "float61"}, RANDOM, "precision: expected auto"),
        ({"data": {"name": "digitz"}}, RANDOM, "did you mean 'digits'"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_trained(
    wrong, scenario, message, tmp_path
):
    changes = {"blocks": [BLOCK, {**BLOCK, **wrong, "name": "wrong"}], "scenarios": [scenario]}
    with pytest.raises(ValueError, match=message):
        ready(grid(tmp_path, **changes), tmp_path)


def test_every_problem_is_said_once_and_a_run_begins_nothing(tmp_path, capsys):
    text = YAML.replace("resnet-thin", "resnet-thim").replace("golds: 3", "golds: 1")
    (tmp_path / "wrong.yaml").write_text(f"{text}scenarios: [{{kind: group}}, {{kind: random}}]\n")
    words = ["bench", str(tmp_path / "wrong.yaml"), "--out", str(tmp_path / "r")]
    for more in ([], ["--dry_run"]):
        assert main([*words, "--device", "cuda:99", *more]) == 1
        said = capsys.readouterr().err
        for once in ('got "cuda:99"', "got 'resnet-thim'", "digits has none"):
            assert said.count(once) == 1
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.parametrize("jobs", ["0", "-3"])
def test_fewer_than_one_job_is_refused(jobs, tmp_path, capsys):
    assert main(["bench", "table2", "--jobs", jobs, "--out", str(tmp_path)]) == 1
    assert f"jobs: expected at least 1, got {jobs}" in capsys.readouterr().err


def test_the_time_of_a_dry_run_is_divided_by_the_jobs(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        "lotus_unlearning.cli.bench.estimates", lambda cells, *_: dict.fromkeys(cells, 60.0)
    )
    (tmp_path / "small.yaml").write_text(YAML)
    words = ["bench", str(tmp_path / "small.yaml"), "--out", str(tmp_path / "r"), "--dry_run"]
    assert main([*words, "--jobs", "2"]) == 0
    assert (
        "about 14 min 00 s one after another, 7 min 00 s at best with 2 at once"
        in capsys.readouterr().out
    )
    assert main(words) == 0
    assert "at once" not in capsys.readouterr().out


OWN = """
title: "Own data"
blocks:
  - name: own
    data: {name: "imagefolder:PLACE", size: 8}
    model: resnet-thin
    recipe: {epochs: 1}
methods: [lotus]
seeds: 1
golds: 1
"""


def test_images_that_changed_since_the_finished_cells_are_noticed(tmp_path, capsys):
    place = tmp_path / "photos"
    for split, label, number in itertools.product(("train", "test"), ("a", "b"), range(12)):
        file = place / split / label / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 20 * number + (label == "b")).save(file)
    (tmp_path / "own.yaml").write_text(OWN.replace("PLACE", str(place)))
    words = ["bench", str(tmp_path / "own.yaml"), "--out", str(tmp_path / "r"), "--device", "cpu"]
    assert main(words) == 0
    (place / "train/a/3.png").unlink()
    forget_what_was_read()
    assert main(words) == 0, "all is finished: nothing is read"
    capsys.readouterr()
    assert main([*words, "--methods", "lotus", "finetune"]) == 1
    assert "expected the images that the finished cells were made with" in capsys.readouterr().err
    Image.new("L", (8, 8), 60).save(place / "train/a/3.png")
    forget_what_was_read()
    assert main([*words, "--methods", "lotus", "finetune"]) == 0


def test_a_folder_is_known_by_names_however_much_memory_there_is(tmp_path, monkeypatch):
    for number in range(20):
        file = tmp_path / "photos" / "ab"[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), number).save(file)
    choice = DataChoice(name=f"imagefolder:{tmp_path / 'photos'}", size=8)
    forget_what_was_read()
    held = contents.contents(choice, None)
    monkeypatch.setattr("lotus_unlearning.datasets.files.memory_bytes", lambda: 64)
    forget_what_was_read()
    assert contents.contents(choice, None) == held
    assert held.startswith("names:")
    assert contents.contents(DataChoice(name="digits"), None).startswith("pixels:")


def test_another_model_on_other_images_is_not_put_beside_the_finished_one(tmp_path):
    chosen = grid(tmp_path, blocks=[{**BLOCK, "batch_size": 64}])
    (original, *_) = order(chosen.cells())
    seen = {original.setup.data: {"pixels:other"}}
    found = preflight.look([original], Place("cpu", None), False, seen)
    assert "with which these cannot be compared" in found.problems[0]
    assert preflight.look([original], Place("cpu", None), False, {}).problems == []


def test_a_model_that_does_not_fit_is_no_missing_weight(tmp_path, monkeypatch):
    def build(setup, data, seed, pretrained):
        raise ValueError("for 3 channels alone")

    monkeypatch.setattr(preflight, "build", build)
    block = {**BLOCK, "name": "large", "model": "timm:resnet10t", "pretrained": True}
    with pytest.raises(ValueError, match=r"^for 3 channels alone$"):
        ready(grid(tmp_path, blocks=[block, BLOCK]), tmp_path)


def forget_what_was_read():
    for cached in (materials.load, contents.contents):
        cached.cache_clear()


def test_weights_are_asked_for_where_they_are_read_alone(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(preflight, "build", lambda setup, *_, **__: asked.append(setup.model))
    block = {**BLOCK, "model": "timm:resnet10t", "pretrained": True}
    chosen = grid(tmp_path, blocks=[block], seeds=1, methods=["lotus", "understudy"])
    (section,) = chosen.sections()
    (draw,) = section.draws()
    lotus, understudy = (draw.unlearning(row.method) for row in section.rows())
    assert not preflight._begins(lotus)
    assert not preflight._begins(draw.reference)
    assert preflight._begins(understudy)
    assert all(map(preflight._begins, draw.reference.needs))
    ready(chosen, tmp_path)
    assert asked == ["timm:resnet10t"] * 2, "without weights, to see whether it fits, and with"


def test_blocks_without_weights_are_skipped_where_others_can_run(tmp_path, monkeypatch):
    def build(setup, data, seed, pretrained):
        if pretrained:
            raise OSError("no route")

    monkeypatch.setattr(preflight, "build", build)
    pretrained = {**BLOCK, "name": "large", "model": "timm:resnet10t", "pretrained": True}
    found = ready(grid(tmp_path, blocks=[pretrained, BLOCK]), tmp_path)
    assert found.skipped == ["large"]
    assert list(found.grid.blocks) == ["few-digits"]
    assert found.absent[0].startswith("digits: no route; start from fresh ones")
