"""Precision, threads and seeds, set before TensorFlow computes anything, so that training is repeatable."""

from pathlib import Path

import keras
import tensorflow as tf

from faces.runtime import memory

CPU = Path("/proc/cpuinfo")  # of Linux


def resolved(precision: str) -> str:
    """float32 or bfloat16; for `auto`, bfloat16 where the hardware supports it.

    Raises SystemExit where bfloat16 is asked for and the hardware does not support it.
    """
    if precision == "auto":
        return "bfloat16" if has_bfloat16() else "float32"
    if precision == "bfloat16" and not has_bfloat16():
        raise SystemExit(
            "precision: bfloat16 is asked for, but there is neither a CPU with AVX512-BF16 or AMX nor a GPU that "
            "supports it: set `precision` under `budgets` to float32 or auto"
        )
    return precision


def prepare(threads: int, seed: int, precision: str) -> None:
    """Set precision, threads and seed, before anything else of TensorFlow runs.

    precision: as `resolved` takes it.
    """
    policy = "mixed_bfloat16" if resolved(precision) == "bfloat16" else "float32"
    memory.keep()
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)
    keras.mixed_precision.set_global_policy(policy)


def has_bfloat16() -> bool:
    """Whether a GPU (compute capability 8 or more) or this CPU (AVX512-BF16 or AMX) supports bfloat16."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        return all(tf.config.experimental.get_device_details(gpu)["compute_capability"] >= (8, 0) for gpu in gpus)
    return CPU.exists() and bool({"avx512_bf16", "amx_bf16"} & set(CPU.read_text().split()))
