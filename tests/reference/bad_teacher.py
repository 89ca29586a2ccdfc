"""Bad teaching, literally: both teachers are asked again for every batch."""

import copy

import torch


def bad_teacher(model, bad, images, is_forget, batches, *, temperature, learning_rate):
    """The objective of Chundawat et al. with ``l = is_forget``; ``batches`` index ``images``."""
    good = copy.deepcopy(model).eval()
    bad.eval()
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    model.train()
    for batch in batches:
        with torch.no_grad():
            p_good = torch.softmax(good(images[batch]) / temperature, dim=1)
            p_bad = torch.softmax(bad(images[batch]) / temperature, dim=1)
        q = torch.softmax(model(images[batch]) / temperature, dim=1)
        total = 0
        for row, j in enumerate(batch):
            p = p_bad[row] if is_forget[j] else p_good[row]
            total = total + sum(p[c] * torch.log(p[c] / q[row, c]) for c in range(len(p)))
        optimizer.zero_grad()
        (total / len(batch)).backward()
        optimizer.step()
