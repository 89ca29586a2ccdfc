"""Fine-tuning on retain images, one weight update written out: slow and literal."""

import torch


def finetune(model, images, labels, batches, *, learning_rate, momentum, weight_decay):
    """``batches``: index tensors into ``images`` and ``labels``, one per step."""
    parameters = list(model.parameters())
    velocities = [torch.zeros_like(p) for p in parameters]
    model.train()
    for batch in batches:
        logits = model(images[batch])
        right = torch.log_softmax(logits, dim=1)[torch.arange(len(batch)), labels[batch]]
        gradients = torch.autograd.grad(-right.mean(), parameters)
        with torch.no_grad():
            for p, v, g in zip(parameters, velocities, gradients, strict=True):
                v.copy_(momentum * v + g + weight_decay * p)
                p.sub_(learning_rate * v)
    return model
