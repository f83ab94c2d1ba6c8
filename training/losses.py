"""Next-token cross-entropy straight from hidden states, in slices that stay in the cache.

The logits of a whole batch (tokens x vocabulary) are never held: each slice is turned into its loss and
its gradient at once. This is the idea of Liger-Kernel's fused linear cross entropy (arXiv:2410.10989),
written for the CPU in plain torch; a test compares it with torch's own loss.
"""

from __future__ import annotations

from typing import Any

import torch

SLICE = 256  # tokens; 256 x 8192 fp32 logits are 8 MB


class _SlicedLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        count = hidden.shape[0]
        head = weight.to(hidden.dtype)
        grad_hidden = torch.empty_like(hidden)
        grad_weight = torch.zeros_like(weight)
        total = torch.zeros((), dtype=torch.float32)
        for start in range(0, count, SLICE):
            part, wanted = hidden[start : start + SLICE], targets[start : start + SLICE]
            logits = (part @ head.T).float()  # [slice, vocabulary]
            log_sum = logits.logsumexp(-1, keepdim=True)
            total += (log_sum - logits.gather(1, wanted[:, None])).sum()
            grad = logits.sub_(log_sum).exp_()  # becomes softmax, then its gradient
            grad[torch.arange(len(wanted)), wanted] -= 1
            grad = grad.mul_(1 / count).to(hidden.dtype)
            grad_hidden[start : start + SLICE] = grad @ head
            grad_weight += grad.T @ part
        ctx.save_for_backward(grad_hidden, grad_weight)
        return total / count

    @staticmethod
    def backward(ctx: Any, grad_output: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        grad_hidden, grad_weight = ctx.saved_tensors
        return grad_hidden * grad_output, grad_weight * grad_output, None


def sliced_cross_entropy(hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of the next token.

    Args:   hidden: (N, D) any float dtype; weight: (V, D) fp32; targets: (N,) int64.
    Returns: scalar fp32."""
    loss: torch.Tensor = _SlicedLoss.apply(hidden, weight, targets)  # type: ignore[no-untyped-call]  # torch
    return loss


def targets(ids: torch.Tensor, counts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Where the loss counts: places (N,) in the flattened batch whose next token is learned, and these tokens (N,).

    Args:   ids, counts (how often each token counts): (B, T) int64. The first token of a row is never learned."""
    width = ids.shape[1] - 1
    wanted = counts[:, 1:].flatten()  # the state before a token predicts it
    found = torch.repeat_interleave(torch.arange(len(wanted)), wanted)
    return found + found // width, ids[:, 1:].flatten()[found]


def learned_loss(hidden: torch.Tensor, weight: torch.Tensor, ids: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy, in bf16, of the tokens that are learned.

    Args:   hidden: (B, T, D), the last states; weight: (V, D) fp32, the head's; ids, counts: as `targets` takes them.
    Returns: scalar fp32."""
    places, learned = targets(ids, counts)
    return sliced_cross_entropy(hidden.flatten(0, 1)[places].to(torch.bfloat16), weight, learned)
