import pytest
import torchvision.datasets

from lotus_unlearning import datasets


@pytest.mark.parametrize(("name", "weight"), [("cifar-10", "170 MB"), ("cifar-100", "169 MB")])
def test_absent_cifar_tells_place_weight_and_layout(name, weight, tmp_path, monkeypatch):
    def offline(self, root, train, download=False):
        raise OSError("no network") if download else RuntimeError("not found")

    for reader in (torchvision.datasets.CIFAR10, torchvision.datasets.CIFAR100):
        monkeypatch.setattr(reader, "__init__", offline)
    with pytest.raises(ValueError, match="download failed: no network") as raised:
        datasets.load(name, root=str(tmp_path))
    text = str(raised.value)
    assert f"{name}-python.tar.gz ({weight})" in text
    assert "University of Toronto" in text
    assert f"expected the data set in {tmp_path} (choose with --root)" in text
    assert "train" in text.splitlines()[-1] or "data_batch_1" in text.splitlines()[-1]
