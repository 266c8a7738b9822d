"""Training: input pipeline, losses, optimizers, loop, distillation and export."""
