"""Selective synaptic dampening, literally: one weight after the other."""

import torch


def importances(model, batches):
    """Mean over ``batches`` (images, labels) of the squared gradient of the mean loss."""
    parameters = list(model.parameters())
    squares = []
    for images, labels in batches:
        z = model(images)
        loss = -torch.log_softmax(z, dim=1)[range(len(labels)), labels].mean()
        squares.append([g**2 for g in torch.autograd.grad(loss, parameters)])
    return [torch.stack(parts).mean(dim=0) for parts in zip(*squares, strict=True)]


def ssd(model, forget_batches, all_batches, *, alpha, dampening):
    """Algorithm 1 of Foster et al.; returns the number of dampened weights."""
    model.eval()
    dampened = 0
    forget, everything = importances(model, forget_batches), importances(model, all_batches)
    for parameter, f, d in zip(model.parameters(), forget, everything, strict=True):
        flat, f, d = parameter.data.view(-1), f.view(-1), d.view(-1)
        for j in range(len(flat)):
            if f[j] > alpha * d[j]:
                flat[j] *= min(dampening * d[j] / f[j], 1)
                dampened += 1
    return dampened
