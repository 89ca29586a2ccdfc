"""Training from a given start, literally: every rate and every weight update written out."""

import copy

import torch


def retrain(
    model, images, labels, epochs, *, learning_rate, momentum, weight_decay, warmup_epochs,
    held_out=None, patience=None,
):  # fmt: skip
    """``epochs``: for each planned epoch the list of its batches, index tensors into ``images``.

    ``held_out``: images and labels. Edits ``model``; returns its held-out loss after each epoch.
    """
    parameters = list(model.parameters())
    velocities = [torch.zeros_like(p) for p in parameters]
    total = sum(len(batches) for batches in epochs)
    warmup = warmup_epochs * len(epochs[0])
    done, losses, best = 0, [], None
    for batches in epochs:
        model.train()
        for batch in batches:
            right = torch.log_softmax(model(images[batch]), dim=1)[range(len(batch)), labels[batch]]
            gradients = torch.autograd.grad(-right.mean(), parameters)
            if done < warmup:
                rate = learning_rate * min(1, (done + 1) / warmup)
            else:
                rate = learning_rate * (total - done) / (total - warmup)
            done += 1
            with torch.no_grad():
                for p, v, g in zip(parameters, velocities, gradients, strict=True):
                    v.copy_(momentum * v + g + weight_decay * p)
                    p.sub_(rate * v)
        if held_out is not None:
            model.eval()
            with torch.no_grad():
                answers = torch.log_softmax(model(held_out[0]), dim=1)
            losses.append(-answers[range(len(answers)), held_out[1]].mean().item())
            if losses[-1] == min(losses):
                best = copy.deepcopy(model.state_dict())
            elif len(losses) - 1 - losses.index(min(losses)) >= patience:
                break
    if best is not None:
        model.load_state_dict(best)
    return losses
