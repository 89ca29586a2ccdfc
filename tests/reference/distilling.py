"""Distillation by AdamW along half a cosine, with every update written out: slow and literal."""

import math

import torch


def distil(model, batches, *, learning_rate, weight_decay, temperature=1.0):
    """``batches``: pairs of images ``[B, ...]`` and beliefs ``[B, C]``, one per step."""
    parameters = list(model.parameters())
    first = [torch.zeros_like(p) for p in parameters]
    second = [torch.zeros_like(p) for p in parameters]
    model.train()
    for k, (images, p) in enumerate(batches):
        rate = learning_rate * 0.5 * (1 + math.cos(math.pi * k / len(batches)))
        student = torch.log_softmax(model(images) / temperature, dim=1)
        divergence = (p * (p.log() - student)).sum() / len(images)
        gradients = torch.autograd.grad(temperature**2 * divergence, parameters)
        with torch.no_grad():
            for w, m, v, g in zip(parameters, first, second, gradients, strict=True):
                m.mul_(0.9).add_(0.1 * g)
                v.mul_(0.999).add_(0.001 * g * g)
                w.mul_(1 - rate * weight_decay)
                step = m / (1 - 0.9 ** (k + 1))
                w.sub_(rate * step / ((v / (1 - 0.999 ** (k + 1))).sqrt() + 1e-8))
    return model
