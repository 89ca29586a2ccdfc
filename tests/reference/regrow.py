"""Regrow, image by image where it asks the original: slow and literal."""

import torch

from reference.distilling import distil


def regrow(model, fresh, deep, images, batches, *, learning_rate, weight_decay, temperature):
    """``deep``: names of the layers to take from ``fresh``; ``batches``: indices, one per step."""
    model.eval()
    with torch.no_grad():
        answers = torch.stack([model(image[None])[0] for image in images])
    beliefs = torch.softmax(answers / temperature, dim=1)
    for name, value in model.state_dict().items():
        if name.rpartition(".")[0] in deep:
            value.copy_(fresh.state_dict()[name])
    steps = [(images[batch], beliefs[batch]) for batch in batches]
    rates = {"learning_rate": learning_rate, "weight_decay": weight_decay}
    return distil(model, steps, **rates, temperature=temperature)
