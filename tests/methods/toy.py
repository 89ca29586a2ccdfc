"""Tiny models and data for the tests of methods: seconds, not minutes."""

import copy

import torch
import torch.nn.functional as F
from torch import nn

from lotus_unlearning.splits import Splits
from lotus_unlearning.unlearning import unlearn

CLASSES = 4
SIZE = 48
SEED = 3


def conv_model(seed=0):
    """Convolution and BatchNorm, in float64."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64, CLASSES),
    ).double()


def norm_model(seed=0):
    """Linear layers and LayerNorm, in float64."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(36, 12), nn.LayerNorm(12), nn.GELU(), nn.Linear(12, CLASSES)
    ).double()


MODELS = {"BatchNorm": conv_model, "LayerNorm": norm_model}


class Block(nn.Module):
    """Of a residual network of linear layers."""

    def __init__(self):
        super().__init__()
        self.norm, self.linear = nn.LayerNorm(36), nn.Linear(36, 36)

    def forward(self, x):
        return x + torch.tanh(self.linear(self.norm(x)))


def block_model(seed=0, blocks=4):
    """Blocks of one kind in a row, in float64."""
    torch.manual_seed(seed)
    row = nn.Sequential(*(Block() for _ in range(blocks)))
    return nn.Sequential(nn.Flatten(), row, nn.Linear(36, CLASSES)).double()


def data(seed=1, size=SIZE, noise=1.5):
    """Images ``[N, 1, 6, 6]`` around one prototype per class, and their labels."""
    prototypes = torch.randn(CLASSES, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(size) % CLASSES
    g = torch.Generator().manual_seed(seed)
    return prototypes[labels] + noise * torch.randn(size, 1, 6, 6, generator=g), labels


def splits(kind="some"):
    """Forget ``"some"`` images (10 of 48), ``"half"`` of them or the ``"class"`` 0."""
    unseen = data(seed=2, size=16)
    if kind == "class":
        return Splits.of_class(data(), 0, unseen=unseen)
    if kind == "half":
        return Splits.random(data(), fraction=0.5, seed=0, unseen=unseen)
    return Splits.from_ids(data(), forget=list(range(0, SIZE, 5)), unseen=unseen)


def tensors(split):
    """Images in float64 and labels of a split."""
    return split.source.images[split.ids].double(), split.labels


def run(model, parts, method, batch_size=8, seed=SEED, checkpoint=None, shard=False):
    """The unlearned model, computed in float64 on the CPU."""
    return unlearn(
        model,
        parts,
        method,
        seed=seed,
        batch_size=batch_size,
        device="cpu",
        precision="float64",
        progress=False,
        checkpoint=checkpoint,
        shard=shard,
    )


def orders(generator, size, batch_size):
    """The batches of one shuffled pass, as the runtime draws them: none of one image alone."""
    batches = list(torch.randperm(size, generator=generator).split(batch_size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        alone = batches.pop()
        batches[-1] = torch.cat([batches[-1], alone])
    return batches


def difference(model, other):
    """Largest absolute difference over all parameters and buffers."""
    pairs = zip(model.state_dict().values(), other.state_dict().values(), strict=True)
    return max((a - b).abs().max().item() for a, b in pairs)


def change(model, other):
    """Largest absolute difference over all parameters."""
    pairs = zip(model.parameters(), other.parameters(), strict=True)
    return max((a - b).abs().max().item() for a, b in pairs)


def loss(model, split):
    """Mean cross-entropy in evaluation mode."""
    x, y = tensors(split)
    with torch.no_grad():
        return F.cross_entropy(copy.deepcopy(model).eval()(x), y).item()


def trained(make=conv_model, steps=10):
    """A model that has learned the data, forget images included, and still has gradients."""
    model = make()
    images, labels = data()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(model(images.double()), labels).backward()
        optimizer.step()
    return model.eval()
