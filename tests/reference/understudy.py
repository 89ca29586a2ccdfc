"""Understudy: the second half, with the update of AdamW and the schedule written out."""

import math

import torch


def taught(model, images, forget, retain, answers, epochs, *, learning_rate, weight_decay):
    """Teach ``model`` the understudy's answers to forget, and its own to retain images.

    ``forget``, ``retain``: ids into ``images``; ``answers``: the understudy's logits, by id of a
    forget image; ``epochs``: for each epoch its batches of ids.
    """
    model.eval()
    with torch.no_grad():
        own = {n: torch.softmax(model(images[n][None])[0], dim=0) for n in retain}
    beliefs = own | {n: torch.softmax(answers[n], dim=0) for n in forget}
    parameters = list(model.parameters())
    first = [torch.zeros_like(p) for p in parameters]
    second = [torch.zeros_like(p) for p in parameters]
    batches = [batch for epoch in epochs for batch in epoch]
    model.train()
    for k, batch in enumerate(batches):
        rate = learning_rate * 0.5 * (1 + math.cos(math.pi * k / len(batches)))
        student = torch.log_softmax(model(images[batch]), dim=1)
        p = torch.stack([beliefs[n] for n in batch])
        divergence = (p * (p.log() - student)).sum() / len(batch)
        gradients = torch.autograd.grad(divergence, parameters)
        with torch.no_grad():
            for w, m, v, g in zip(parameters, first, second, gradients, strict=True):
                m.mul_(0.9).add_(0.1 * g)
                v.mul_(0.999).add_(0.001 * g * g)
                w.mul_(1 - rate * weight_decay)
                step = m / (1 - 0.9 ** (k + 1))
                w.sub_(rate * step / ((v / (1 - 0.999 ** (k + 1))).sqrt() + 1e-8))
    return model
