"""LoTUS, one weight update and one teacher pass per batch written out: slow and literal."""

import copy
import math

import torch


def lotus(
    model, forget, retain, unseen, generator, batch_size, *, epochs, alpha, learning_rate, decay,
    tolerance=0.01, target=None, noise_on_forget=True, masks=None,
):  # fmt: skip
    """``forget``, ``retain`` (already sampled), ``unseen``: pairs of images and labels.

    ``masks``: 0/1 tensors like the parameters; where 0, a weight is the original's after each step.
    Returns the temperatures of the epochs, the last one included that only finds that it is done.
    """
    teacher = copy.deepcopy(model).eval()
    parameters = list(model.parameters())
    original = [p.detach().clone() for p in parameters]
    masks = [torch.ones_like(p) for p in parameters] if masks is None else masks
    first = [torch.zeros_like(p) for p in parameters]
    second = [torch.zeros_like(p) for p in parameters]
    goal = _accuracy(teacher, *unseen) if target is None else target
    images = torch.cat([forget[0], retain[0]])
    taus, step = [], 0
    for _ in range(epochs):
        distance = _accuracy(model, *forget) - goal
        tau = math.exp(alpha * distance)
        taus.append(tau)
        if distance <= -tolerance:
            break
        classes = len(teacher(images[:1])[0])
        uniform = torch.empty(len(images), classes).exponential_(generator=generator)
        order = torch.randperm(len(images), generator=generator)
        for start in range(0, len(order), batch_size):
            step += 1
            model.train()
            total = 0.0
            batch = order[start : start + batch_size]
            outputs = model(images[batch])
            for row, position in enumerate(batch.tolist()):
                with torch.no_grad():
                    z = teacher(images[position : position + 1])[0]
                noisy = z - torch.log(uniform[position])
                if position < len(forget[0]):
                    wanted = torch.softmax((noisy if noise_on_forget else z) / tau, dim=0)
                else:
                    wanted = torch.zeros(classes, dtype=z.dtype)
                    wanted[noisy.argmax()] = 1.0
                total = total - (wanted * torch.log_softmax(outputs[row], dim=0)).sum()
            gradients = torch.autograd.grad(total / len(batch), parameters)
            with torch.no_grad():
                for p, m, v, g in zip(parameters, first, second, gradients, strict=True):
                    p.mul_(1 - learning_rate * decay)
                    m.copy_(0.9 * m + 0.1 * g)
                    v.copy_(0.999 * v + 0.001 * g * g)
                    corrected = v / (1 - 0.999**step)
                    p.sub_(learning_rate * m / (1 - 0.9**step) / (corrected.sqrt() + 1e-8))
                for p, o, mask in zip(parameters, original, masks, strict=True):
                    p.copy_(mask * p + (1 - mask) * o)
    return taus


def _accuracy(model, images, labels):
    training = model.training
    model.eval()
    with torch.no_grad():
        right = sum(
            int(model(x[None])[0].argmax() == y) for x, y in zip(images, labels, strict=True)
        )
    model.train(training)
    return right / len(labels)
