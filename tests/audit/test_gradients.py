import numpy as np
import torch
import torch.nn.functional as F
from few_networks import network

from lotus_unlearning.audit.gradients import SAMPLE, at_once, gradient_norms, one_by_one, spread
from lotus_unlearning.runtime import Runtime
from lotus_unlearning.splits import Split


def slow(model, split):
    """The norms as they are defined, one image at a time, by hand."""
    norms = []
    for position in range(len(split)):
        image, label = split.source[int(split.ids[position])]
        model.zero_grad()
        loss = F.cross_entropy(model(image[None].double()), torch.tensor([label]))
        loss.backward()
        whole = torch.cat([p.grad.flatten() for p in model.parameters()])
        norms.append(whole.norm().item())
    return np.array(norms)


def test_norms_of_many_images_at_once_are_those_of_single_ones(digits):
    model = network().double().eval()
    model[1].running_mean.uniform_(-0.1, 0.1)
    run = Runtime(torch.device("cpu"), torch.float64)
    some = digits.forget.take(torch.arange(9))
    expected = slow(model, some)
    for norms in (one_by_one, at_once, gradient_norms):
        assert np.allclose(norms(model, some, run), expected, rtol=1e-10), norms.__name__


def test_the_model_stays_as_it_is(digits):
    model = network().train().requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    gradient_norms(model, digits.forget, Runtime())
    assert model.training
    assert not any(p.requires_grad for p in model.parameters())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_sample_stands_at_its_place_among_all_images(digits):
    source = digits.retain.source
    whole = Split("train", source, torch.arange(len(source)))
    found = spread(whole, network().eval(), Runtime())
    assert len(found) == len(source)
    assert np.isfinite(found).sum() == min(SAMPLE, len(source))
    first = gradient_norms(network().eval(), whole.take(torch.tensor([0])), Runtime())
    assert np.isclose(found[0], first[0])
