# Copyright (c) RadBundles contributors
# SPDX-License-Identifier: Apache-2.0
"""What a student sees in any view, it learns from what its teacher sees in the global ones."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import nn


class SelfDistillationLoss(nn.Module):
    """Cross-entropy of student views against centered teacher views, over all pairs of different views.

    With teacher logits t_g of the global views and student logits u_v of all views, p_g = softmax((t_g - center) /
    teacher_temperature), the loss is the mean over pairs (g, v != g) and the batch of -sum p_g log softmax(u_v /
    student_temperature). After that, in training mode only, the center moves toward the mean of the teacher's logits,
    taken over every process where torch.distributed is initialized.

    Source: DINO as DCXFM uses it (128 prototypes, one fixed temperature for both: quirk Q12). Computed in float32
    under autocast. Deviation: needs no torch.distributed.

    Args:
        dim: number K of prototypes.
        teacher_temperature: of the teacher's softmax.
        student_temperature: of the student's softmax.
        center_momentum: how much of the center each step keeps.

    Raises:
        ValueError: if a number is out of range.
    """

    center: torch.Tensor

    def __init__(
        self,
        *,
        dim: int = 128,
        teacher_temperature: float = 0.07,
        student_temperature: float = 0.07,
        center_momentum: float = 0.9,
    ) -> None:
        super().__init__()
        if dim < 1:
            raise ValueError(f"dim must be positive, got {dim}")
        if teacher_temperature <= 0 or student_temperature <= 0:
            raise ValueError(f"temperatures must be positive, got {teacher_temperature} and {student_temperature}")
        if not 0 <= center_momentum <= 1:
            raise ValueError(f"center_momentum must be within 0 and 1, got {center_momentum}")
        self.teacher_temperature, self.student_temperature = teacher_temperature, student_temperature
        self.center_momentum = center_momentum
        self.register_buffer("center", torch.zeros(1, dim))

    def forward(self, teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
        """Compare every student view with every other teacher view.

        Args:
            teacher: logits of the G global views [G, B, K]; gets no gradient.
            student: logits of all views [V, B, K]; the first G are the teacher's.

        Returns:
            The loss, a scalar.

        Raises:
            ValueError: if shapes do not fit or there is no pair of different views.
        """
        G, V = len(teacher), len(student)
        K = self.center.shape[1]
        if teacher.ndim != 3 or student.ndim != 3 or teacher.shape[1:] != student.shape[1:] or teacher.shape[2] != K:
            raise ValueError(
                f"teacher {tuple(teacher.shape)} and student {tuple(student.shape)} must be [G, B, {K}] and [V, B, {K}]"
            )
        if not 1 <= G <= V or V == 1:
            raise ValueError(f"{G} teacher views and {V} student views give no pair of different views")
        dtype = torch.promote_types(student.dtype, torch.float32)
        with torch.autocast(student.device.type, enabled=False):
            teacher = teacher.detach().to(dtype)
            target = ((teacher - self.center) / self.teacher_temperature).softmax(-1)
            predicted = (student.to(dtype) / self.student_temperature).log_softmax(-1)
            cross_entropy = -(target.flatten(1) @ predicted.flatten(1).T) / teacher.shape[1]  # [G, V]
            same_view = torch.eye(G, V, dtype=torch.bool, device=teacher.device)
            loss = cross_entropy.masked_fill(same_view, 0.0).sum() / (G * V - G)
            if self.training:
                self._move_center(teacher)
        return loss

    @torch.no_grad()
    def _move_center(self, teacher: torch.Tensor) -> None:
        mean = teacher.flatten(0, 1).mean(0, keepdim=True)
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(mean)
            mean /= dist.get_world_size()
        self.center.lerp_(mean.to(self.center.dtype), 1 - self.center_momentum)
