"""Time prediction with the ONNX and Keras files of a shipped model: python -m benchmarks.inference."""

import argparse
import io
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from faces.data.sample import drawing
from faces.inference.predictor import SHIPPED, Predictor

FACES, ONE_BY_ONE, STARTS = 1024, 200, 5
RATE, MILLISECONDS, START = 300, 10, 2  # faces a second at least; p50 of one face and seconds to the first at most
KERAS = """
import sys, time, keras, numpy as np, tensorflow as tf
tf.config.threading.set_intra_op_parallelism_threads(2)
model = keras.models.load_model(sys.argv[1])
images = np.load(sys.argv[2])
model.predict(images[:64], verbose=0)
model(images[:1])
start = time.perf_counter()
model.predict(images, batch_size=64, verbose=0)
rate = len(images) / (time.perf_counter() - start)
single = []
for image in images[:50]:
    start = time.perf_counter()
    model.predict_on_batch(image[None])
    single.append(1000 * (time.perf_counter() - start))
print(rate, np.median(single))
"""


def main() -> None:
    """Print the times of each file, and exit 1 where none meets all bounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--model", type=Path, default=SHIPPED, help=f"NAME.onnx, beside NAME.int8.onnx and NAME.keras; {SHIPPED}"
    )
    model = parser.parse_args().model
    int8, keras = model.with_suffix(".int8.onnx"), model.with_suffix(".keras")
    for path in (model, int8, keras):
        if not path.is_file():
            parser.error(f"{path} does not exist: `make publish` writes all files of a model")
    contents = [encoded(image) for image in drawing.squares(64, seed=3, side=200)]
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "face.jpg"
        picture.write_bytes(contents[0])
        met = [timed(path, contents, picture) for path in (model, int8)]
        size = Predictor(model).metadata["image_size"]
        np.save(Path(folder) / "images.npy", noise(256, size))
        began = time.perf_counter()
        output = run([sys.executable, "-c", KERAS, str(keras), str(Path(folder) / "images.npy")])
        rate, millis = map(float, output.split()[-2:])
        print(f"{keras.name} in Keras: {rate:.0f} faces/s, one {millis:.1f} ms (p50), all in a process of ", end="")
        print(f"{time.perf_counter() - began:.0f} s")
    sys.exit(not any(met))


def timed(model: Path, contents: list[bytes], picture: Path) -> bool:
    """Print the times of one ONNX file on 2 threads, for faces given as JPEG; whether it meets all bounds."""
    files = [contents[i % len(contents)] for i in range(FACES)]
    predictor = Predictor(model, threads=2)
    images = noise(FACES, predictor.metadata["image_size"])
    predictor.raw(images[:64])
    network = FACES / seconds(lambda: predictor.raw(images))
    whole = FACES / seconds(lambda: [predictor.predict(files[at : at + 64]) for at in range(0, FACES, 64)])
    one = [1000 * seconds(lambda content=content: predictor.predict([content])) for content in files[:ONE_BY_ONE]]
    network_one = [1000 * seconds(lambda image=image: predictor.raw(image[None])) for image in images[:ONE_BY_ONE]]
    command = [sys.executable, "-m", "faces.inference.predictor", "--model", str(model), str(picture)]
    start = float(np.median([seconds(lambda: run(command)) for _ in range(STARTS)]))
    print(f"{model.name} in ONNX Runtime, 2 threads:")
    print(f"  network alone: {network:.0f} faces/s in batches of 64, {np.median(network_one):.1f} ms one (p50)")
    print(f"  from JPEG files to a table: {whole:.0f} faces/s (at least {RATE}), ", end="")
    print(f"one {np.median(one):.1f} ms (p50, at most {MILLISECONDS}), {np.percentile(one, 99):.1f} ms (p99)")
    print(f"  from the start of a process to the first prediction: {start:.2f} s (at most {START})")
    return bool(whole >= RATE and np.median(one) <= MILLISECONDS and start <= START)


def noise(n: int, size: int) -> np.ndarray:
    """Images (n, size, size, 3) uint8 of noise."""
    return np.random.default_rng(0).integers(0, 256, (n, size, size, 3), np.uint8)


def encoded(image: Image.Image) -> bytes:
    """An image as the bytes of a JPEG."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def seconds(work: object) -> float:
    """Duration of a call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def run(command: list[str]) -> str:
    """Output of a command. Raises CalledProcessError if it fails."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main()
