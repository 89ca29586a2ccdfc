"""NegGrad+ (Kurmanji et al. 2023): two separate gradients, then one update."""

import torch


def gradients_of_loss(model, images, labels):
    right = torch.log_softmax(model(images), dim=1)[torch.arange(len(labels)), labels]
    return torch.autograd.grad(-right.mean(), list(model.parameters()))


def neg_grad_plus(model, retain, forget, steps, *, alpha, learning_rate, momentum, weight_decay):
    """``retain`` and ``forget``: (images, labels).

    ``steps``: pairs of index tensors (retain batch, forget batch), one pair per step; ``None``
    for a batch that the step does not have.
    """
    parameters = list(model.parameters())
    velocities = [torch.zeros_like(p) for p in parameters]
    model.train()
    for retain_batch, forget_batch in steps:
        total = [torch.zeros_like(p) for p in parameters]
        for (images, labels), batch, weight in (
            (retain, retain_batch, alpha),
            (forget, forget_batch, -(1 - alpha)),
        ):
            if batch is not None:
                gradients = gradients_of_loss(model, images[batch], labels[batch])
                total = [t + weight * g for t, g in zip(total, gradients, strict=True)]
        with torch.no_grad():
            for p, v, g in zip(parameters, velocities, total, strict=True):
                v.copy_(momentum * v + g + weight_decay * p)
                p.sub_(learning_rate * v)
    return model
