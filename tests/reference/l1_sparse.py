"""Fine-tuning with an L1 penalty (Jia et al. 2023), its gradient written as the sign."""

import torch


def l1_sparse(model, images, labels, epochs, *, penalty, learning_rate, momentum, weight_decay):
    """``epochs``: for each epoch the list of its batches, index tensors into ``images``."""
    parameters = list(model.parameters())
    velocities = [torch.zeros_like(p) for p in parameters]
    model.train()
    for t, batches in enumerate(epochs):
        gamma = penalty - t * penalty / len(epochs)
        for batch in batches:
            logits = model(images[batch])
            right = torch.log_softmax(logits, dim=1)[torch.arange(len(batch)), labels[batch]]
            gradients = torch.autograd.grad(-right.mean(), parameters)
            with torch.no_grad():
                for p, v, g in zip(parameters, velocities, gradients, strict=True):
                    v.copy_(momentum * v + g + gamma * torch.sign(p) + weight_decay * p)
                    p.sub_(learning_rate * v)
    return model
