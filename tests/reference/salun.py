"""SalUn (Fan et al. 2024): saliency mask weight by weight, then masked random-label steps."""

import torch


def saliency_mask(model, batches, share):
    """0/1 tensors like the parameters. ``batches``: (images, labels) of the forget set."""
    model.eval()
    parameters = list(model.parameters())
    total = [torch.zeros_like(p) for p in parameters]
    for images, labels in batches:
        right = torch.log_softmax(model(images), dim=1)[torch.arange(len(labels)), labels]
        gradients = torch.autograd.grad(right.mean(), parameters)
        total = [t + g for t, g in zip(total, gradients, strict=True)]
    ranked = sorted(
        (
            (-abs(value), where, at)
            for where, t in enumerate(total)
            for at, value in enumerate(t.flatten().tolist())
        ),
    )
    masks = [torch.zeros(p.numel(), dtype=p.dtype) for p in parameters]
    for _, where, at in ranked[: round(share * len(ranked))]:
        masks[where][at] = 1.0
    return [m.view(p.shape) for m, p in zip(masks, parameters, strict=True)]


def salun(model, masks, steps, *, learning_rate, momentum, weight_decay):
    """``steps``: pairs (images, labels as given to the model), one pair per step."""
    parameters = list(model.parameters())
    original = [p.detach().clone() for p in parameters]
    velocities = [torch.zeros_like(p) for p in parameters]
    model.train()
    for images, given in steps:
        right = torch.log_softmax(model(images), dim=1)[torch.arange(len(given)), given]
        gradients = torch.autograd.grad(-right.mean(), parameters)
        with torch.no_grad():
            for p, o, m, v, g in zip(
                parameters, original, masks, velocities, gradients, strict=True
            ):
                v.copy_(momentum * v + m * g + weight_decay * p)
                p.copy_(m * (p - learning_rate * v) + (1 - m) * o)
    return model
