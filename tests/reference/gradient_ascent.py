"""Gradient ascent on forget images: the gradient of the loss is added, not subtracted."""

import torch


def gradient_ascent(model, images, labels, batches, *, learning_rate, momentum, weight_decay):
    """``batches``: index tensors into the forget ``images`` and ``labels``, one per step."""
    parameters = list(model.parameters())
    ascents = [torch.zeros_like(p) for p in parameters]
    model.train()
    for batch in batches:
        logits = model(images[batch])
        right = torch.log_softmax(logits, dim=1)[torch.arange(len(batch)), labels[batch]]
        gradients = torch.autograd.grad(-right.mean(), parameters)
        with torch.no_grad():
            for p, v, g in zip(parameters, ascents, gradients, strict=True):
                v.copy_(momentum * v + g - weight_decay * p)
                p.add_(learning_rate * v)
    return model
