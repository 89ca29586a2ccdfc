"""Understudy: the second half, in which the original is taught; slow and literal."""

import torch

from reference.distilling import distil


def taught(model, images, forget, retain, answers, epochs, *, learning_rate, weight_decay):
    """Teach ``model`` the understudy's answers to forget, and its own to retain images.

    ``forget``, ``retain``: ids into ``images``; ``answers``: the understudy's logits, by id of a
    forget image; ``epochs``: for each epoch its batches of ids.
    """
    model.eval()
    with torch.no_grad():
        own = {n: torch.softmax(model(images[n][None])[0], dim=0) for n in retain}
    beliefs = own | {n: torch.softmax(answers[n], dim=0) for n in forget}
    steps = [
        (images[batch], torch.stack([beliefs[n] for n in batch]))
        for epoch in epochs
        for batch in epoch
    ]
    return distil(model, steps, learning_rate=learning_rate, weight_decay=weight_decay)
