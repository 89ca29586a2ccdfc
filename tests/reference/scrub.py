"""SCRUB, literally: the teacher is asked again for every batch."""

import copy

import torch


def divergence(student_logits, teacher_logits, temperature):
    p = torch.softmax(teacher_logits / temperature, dim=1)
    q = torch.softmax(student_logits / temperature, dim=1)
    return temperature**2 * (p * (p / q).log()).sum() / len(p)


def scrub(
    model,
    forget,
    retain,
    labels,
    epochs,
    *,
    temperature,
    alpha,
    gamma,
    optimizer,
    rates,
    retain_first=False,
):
    """Algorithm 1 of Kurmanji et al.

    ``epochs``: for each epoch (batches of forget, [] for no maximising pass; batches of retain);
    ``rates``: a learning rate for each. Returns the model after every epoch.
    """
    teacher = copy.deepcopy(model).eval()
    checkpoints = []

    def maximise(batches):
        for batch in batches:
            with torch.no_grad():
                target = teacher(forget[batch])
            optimizer.zero_grad()
            (-divergence(model(forget[batch]), target, temperature)).backward()
            optimizer.step()

    def minimise(batches):
        for batch in batches:
            with torch.no_grad():
                target = teacher(retain[batch])
            z = model(retain[batch])
            right = torch.softmax(z, dim=1)[range(len(batch)), labels[batch]]
            loss = gamma * -right.log().mean() + alpha * divergence(z, target, temperature)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    for (forget_batches, retain_batches), rate in zip(epochs, rates, strict=True):
        for group in optimizer.param_groups:
            group["lr"] = rate
        model.train()
        if retain_first:
            minimise(retain_batches)
            maximise(forget_batches)
        else:
            maximise(forget_batches)
            minimise(retain_batches)
        checkpoints.append(copy.deepcopy(model).eval())
    return checkpoints
