"""UNSIR, literally: both versions, with the data sets of noise written out."""

import torch


def _cross_entropy(z, y):
    return -torch.log_softmax(z, dim=1)[range(len(y)), y].mean()


def _epoch(model, images, labels, batches, rate):
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    model.train()
    for batch in batches:
        optimizer.zero_grad()
        _cross_entropy(model(images[batch]), labels[batch]).backward()
        optimizer.step()


def learned_noise(model, start, c, *, steps, rate, penalty):
    """Noise that maximises the loss of class ``c``, kept small."""
    model.eval()
    noise = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([noise], lr=rate)
    for _ in range(steps):
        small = torch.stack([(n**2).sum() for n in noise]).mean()
        labels = torch.full((len(noise),), c)
        optimizer.zero_grad()
        (-_cross_entropy(model(noise), labels) + penalty * small).backward()
        optimizer.step()
    return noise.detach()


def unsir_by_class(model, starts, images, labels, impair, repair, *, copies, rates, **noise):
    """Tarun et al.

    ``starts``: {class: first noise}; ``impair`` indexes the retain images, then ``copies`` of
    all noise; ``repair`` indexes the retain images; ``rates``: of impairing and repairing.
    """
    learned = {c: learned_noise(model, start, c, **noise) for c, start in starts.items()}
    mixed_images, mixed_labels = [images], [labels]
    for _ in range(copies):
        for c, n in learned.items():
            mixed_images.append(n)
            mixed_labels.append(torch.full((len(n),), c))
    _epoch(model, torch.cat(mixed_images), torch.cat(mixed_labels), impair, rates[0])
    _epoch(model, images, labels, repair, rates[1])


def unsir_by_instance(
    model, epochs, *, low, high, noise_steps, noise_rate, rate, momentum=0.0, repaired=None
):
    """Choi and Na, with the repair pass of the LoTUS tables.

    ``epochs``: for each epoch, (x_f, x_r, y_r, first noise) for every step, and the batches of the
    repair pass, which index ``repaired``, images and labels.
    """
    velocities = [torch.zeros_like(p) for p in model.parameters()]

    def step(loss):
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        with torch.no_grad():
            for p, v, g in zip(model.parameters(), velocities, gradients, strict=True):
                v.copy_(momentum * v + g)
                p.sub_(rate * v)

    for pairs, repair in epochs:
        for x_f, x_r, y_r, start in pairs:
            model.eval()
            noise = start.clone().requires_grad_()
            optimizer = torch.optim.Adam([noise], lr=noise_rate)
            for _ in range(noise_steps):
                with torch.no_grad():
                    target = model(x_f)
                optimizer.zero_grad()
                (-((model(noise) - target) ** 2).mean()).backward()
                optimizer.step()
            noise = noise.detach().clamp(low, high)
            model.train()
            step(_cross_entropy(model(noise), y_r) + _cross_entropy(model(x_r), y_r))
        for batch in repair:
            step(_cross_entropy(model(repaired[0][batch]), repaired[1][batch]))
