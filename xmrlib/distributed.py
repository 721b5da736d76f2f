"""What several processes must do together so that they learn as one process would from the joined batch.

A process holds its share of a batch. Losses that compare everything with everything need the other shares as well, and
so do the moments of a batch norm. The gradients of the parameters are averaged by the loop (`train.Loop.update`).
With one process every function here is the identity.

Why gradients come out right: on each process autograd computes the gradient of the sum of all processes' losses with
respect to its own share, since the backward of `gather` and of `total` adds up what arrives from everywhere. The
average over processes is then the gradient of the mean loss, which is the joined batch's.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, distributed, nn


def processes() -> int:
    """How many processes train together; 1 outside of `torchrun`."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def rank() -> int:
    """The number of this process, from 0."""
    return distributed.get_rank() if processes() > 1 else 0


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(context, share: Tensor) -> Tensor:
        shares = [torch.empty_like(share) for _ in range(processes())]
        distributed.all_gather(shares, share.contiguous())
        return torch.cat(shares)

    @staticmethod
    def backward(context, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous()
        distributed.all_reduce(gradient)
        return gradient.chunk(processes())[rank()]


class _Total(torch.autograd.Function):
    @staticmethod
    def forward(context, value: Tensor) -> Tensor:
        value = value.clone().contiguous()
        distributed.all_reduce(value)
        return value

    @staticmethod
    def backward(context, gradient: Tensor) -> Tensor:
        return _Total.apply(gradient)


def gather(share: Shaped[Tensor, "share *shape"]) -> Shaped[Tensor, "batch *shape"]:
    """The shares of all processes, one after the other, through which gradients flow back to each.

    All shares must have the same shape; the loop deals equal ones.

    >>> gather(torch.ones(2, 3)).shape
    torch.Size([2, 3])
    """
    if processes() == 1:
        return share
    if share.dtype == torch.bool:
        return _Gather.apply(share.to(torch.uint8)).to(torch.bool)
    return _Gather.apply(share)


def total(value: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """The sum of `value` over all processes, through which gradients flow back to each."""
    return value if processes() == 1 else _Total.apply(value)


def average_gradients(parameters: list[nn.Parameter]) -> None:
    """Replace every gradient by its mean over the processes: one exchange for all of them.

    A parameter that got no gradient here may have got one elsewhere, so that it takes part with zeros.
    """
    if processes() == 1 or not parameters:
        return
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    joined = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(joined)
    joined /= processes()
    for parameter, mean in zip(parameters, joined.split([g.numel() for g in gradients]), strict=True):
        parameter.grad = mean.view_as(parameter)


def broadcast(modules: list[nn.Module]) -> None:
    """Give every process the parameters and buffers of the first one."""
    if processes() > 1:
        for module in modules:
            for tensor in (*module.parameters(), *module.buffers()):
                distributed.broadcast(tensor.data, src=0)


class BatchNorm(nn.BatchNorm1d):
    """Batch norm over the joined batch of all processes, on any backend (torch's `SyncBatchNorm` refuses the CPU).

    With one process it is `torch.nn.BatchNorm1d`, whose state it shares. Ioffe and Szegedy, ICML 2015, algorithm 1.
    """

    def forward(self, features: Float[Tensor, "item dim"]) -> Float[Tensor, "item dim"]:
        """(n, d) standardised features; the running moments are kept as in `torch.nn.BatchNorm1d`."""
        if processes() == 1 or not self.training:
            return super().forward(features)
        kept, features = features.dtype, features.float()
        count = len(features) * processes()
        mean = total(features.sum(dim=0)) / count
        variance = total((features - mean).square().sum(dim=0)) / count
        if self.track_running_stats:
            self.num_batches_tracked += 1
            share = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
            with torch.no_grad():
                self.running_mean.lerp_(mean, share)
                self.running_var.lerp_(variance * count / (count - 1), share)
        features = (features - mean) * (variance + self.eps).rsqrt()
        return (features * self.weight + self.bias if self.affine else features).to(kept)
