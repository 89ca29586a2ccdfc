"""Training on given, partly wrong labels (Graves et al. 2021), both optimizers written out."""

import torch


def random_labels(model, steps, *, optimizer, learning_rate, momentum, weight_decay):
    """``steps``: pairs (images, labels as given to the model), one pair per step."""
    parameters = list(model.parameters())
    first = [torch.zeros_like(p) for p in parameters]
    second = [torch.zeros_like(p) for p in parameters]
    model.train()
    for t, (images, given) in enumerate(steps, start=1):
        right = torch.log_softmax(model(images), dim=1)[torch.arange(len(given)), given]
        gradients = torch.autograd.grad(-right.mean(), parameters)
        with torch.no_grad():
            for p, m, v, g in zip(parameters, first, second, gradients, strict=True):
                g = g + weight_decay * p
                if optimizer == "sgd":
                    m.copy_(momentum * m + g)
                    p.sub_(learning_rate * m)
                    continue
                m.copy_(momentum * m + (1 - momentum) * g)
                v.copy_(0.999 * v + 0.001 * g**2)
                unbiased, spread = m / (1 - momentum**t), (v / (1 - 0.999**t)).sqrt()
                p.sub_(learning_rate * unbiased / (spread + 1e-8))
    return model
