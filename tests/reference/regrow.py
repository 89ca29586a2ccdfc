"""Regrow with the update of AdamW and the schedule written out: slow and literal."""

import math

import torch


def regrow(model, fresh, deep, images, batches, *, learning_rate, weight_decay, temperature):
    """``deep``: names of the layers to take from ``fresh``; ``batches``: indices, one per step."""
    model.eval()
    with torch.no_grad():
        answers = torch.stack([model(image[None])[0] for image in images])
    beliefs = torch.softmax(answers / temperature, dim=1)
    for name, value in model.state_dict().items():
        if name.rpartition(".")[0] in deep:
            value.copy_(fresh.state_dict()[name])
    parameters = list(model.parameters())
    first = [torch.zeros_like(p) for p in parameters]
    second = [torch.zeros_like(p) for p in parameters]
    model.train()
    for k, batch in enumerate(batches):
        rate = learning_rate * 0.5 * (1 + math.cos(math.pi * k / len(batches)))
        student = torch.log_softmax(model(images[batch]) / temperature, dim=1)
        p = beliefs[batch]
        divergence = (p * (p.log() - student)).sum() / len(batch)
        gradients = torch.autograd.grad(temperature**2 * divergence, parameters)
        with torch.no_grad():
            for w, m, v, g in zip(parameters, first, second, gradients, strict=True):
                m.mul_(0.9).add_(0.1 * g)
                v.mul_(0.999).add_(0.001 * g * g)
                w.mul_(1 - rate * weight_decay)
                step = m / (1 - 0.9 ** (k + 1))
                w.sub_(rate * step / ((v / (1 - 0.999 ** (k + 1))).sqrt() + 1e-8))
    return model
